package httpctx

import (
	"maps"
	"net/http"
)

// hintCleaner cleans what ModifyResponse does not see: informational answers,
// such as early hints. A ReverseProxy clears the header after each; what was in
// it before, such as a DPoP nonce, belongs to the final answer, beside what the
// upstream sent.
type hintCleaner struct {
	http.ResponseWriter
	clean   *stripper
	before  http.Header
	cleared bool
}

// Unwrap serves [http.ResponseController].
func (w *hintCleaner) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *hintCleaner) Header() http.Header {
	h := w.ResponseWriter.Header()
	if w.cleared {
		w.cleared = false
		maps.Copy(h, w.before)
	}
	return h
}

func (w *hintCleaner) WriteHeader(status int) {
	if status < http.StatusOK {
		h := w.ResponseWriter.Header()
		for name, values := range w.before { // what the upstream sent stands behind
			replace(h, name, h[name][min(len(values), len(h[name])):])
		}
		w.clean.delete(h)
		w.cleared = true
	}
	w.ResponseWriter.WriteHeader(status)
}
