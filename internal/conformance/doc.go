// Package conformance holds tests of what must come out alike over HTTP, gRPC
// and messages: one table for every way a caller travels, over real sockets.
package conformance
