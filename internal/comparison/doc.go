// Package comparison holds authctx beside the libraries that others verify
// tokens with. Its fuzz targets look for a token or a key that authctx takes and
// go-jose or jwx refuse, and its benchmarks, see BENCHMARKS.md, measure all of them with
// the same requests. There is nothing to import.
package comparison
