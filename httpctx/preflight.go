package httpctx

import "net/http"

// isPreflight reports whether r is what a browser sends before a cross-origin
// request: it has no body and thus no content type, asks for no other protocol,
// names no method to be served by in place of OPTIONS, and is not itself the request
// it asks about (Fetch standard, "CORS-preflight request"). For a route that the
// policy does not list there is none.
func (s *Server) isPreflight(r *http.Request, rt route) bool {
	return r.Method == http.MethodOptions && mayBeEmpty(r) &&
		single(r.Header["Origin"]) && single(r.Header["Access-Control-Request-Method"]) &&
		len(r.Header["Content-Type"]) == 0 && len(r.Header["Upgrade"]) == 0 && !overridesMethod(r) &&
		(s.policy == nil || rt.answered || rt.asked || rt.entry.Listed())
}

// mayBeEmpty reports whether r has no body, or one of unknown length over HTTP/3:
// there, a request without a body need not say so, and quic-go does not look.
func mayBeEmpty(r *http.Request) bool {
	return r.ContentLength == 0 || r.ProtoMajor == 3 && r.ContentLength < 0
}

// withoutBody returns r without what may be sent as the body of a preflight all
// the same, since nobody has authenticated that.
func withoutBody(r *http.Request) *http.Request {
	r = r.WithContext(r.Context())
	r.Body, r.ContentLength = http.NoBody, 0
	return r
}

// dropBody takes from an answer to a preflight what [preflightWriter] does.
func dropBody(res *http.Response) {
	if res.Body != nil {
		_ = res.Body.Close()
	}
	res.Body, res.ContentLength = http.NoBody, 0
	res.Header.Del("Content-Length")
}

func single(values []string) bool { return len(values) == 1 && values[0] != "" }

// preflightWriter is what a handler answers a preflight with that nobody has
// authenticated: a status and headers. A browser reads nothing else, and a
// handler that does not look at the method, such as [http.FileServer], would
// give anybody what its route protects. It has no Unwrap, so there is no way
// around it.
type preflightWriter struct {
	http.ResponseWriter
	wrote bool
}

func (w *preflightWriter) WriteHeader(status int) {
	if status >= http.StatusOK {
		w.wrote = true
		w.Header().Del("Content-Length")
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *preflightWriter) Write(b []byte) (int, error) {
	w.begin()
	return len(b), nil
}

// begin sends the header, unless that was done, without the length of a body that
// does not come.
func (w *preflightWriter) begin() {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
}

// Flush implements [http.Flusher].
func (w *preflightWriter) Flush() { _ = w.FlushError() }

// FlushError serves [http.ResponseController].
func (w *preflightWriter) FlushError() error {
	w.begin()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// CloseNotify implements [http.CloseNotifier].
func (w *preflightWriter) CloseNotify() <-chan bool { return closeNotify(w.ResponseWriter) }
