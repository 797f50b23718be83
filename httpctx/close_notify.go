package httpctx

import "net/http"

// closeNotify returns what tells that the client of w has gone, nil if nothing
// does. The context of the request is what to ask, but gin takes every writer for
// an [http.CloseNotifier] without looking, and so ours have to be one.
func closeNotify(w http.ResponseWriter) <-chan bool {
	for {
		//lint:ignore SA1019 see above
		if n, ok := w.(http.CloseNotifier); ok {
			return n.CloseNotify()
		}
		outer, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return nil
		}
		w = outer.Unwrap()
	}
}
