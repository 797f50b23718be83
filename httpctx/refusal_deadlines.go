package httpctx

import (
	"net/http"
	"time"
)

// refusalTime is what a client has to send the rest of a request that is refused,
// and to take the refusal.
const refusalTime = 10 * time.Second

// setRefusalDeadlines bounds for how long a stranger holds what a refused request
// takes: net/http reads the rest of its body before it answers over HTTP/1, and
// waits for a window to answer in over HTTP/2. What the server bounds already is
// left to it. On a connection of HTTP/1, the deadlines end with the request. Over
// HTTP/2, they keep a stream that its client has reset already, though not its body:
// see letGo.
func setRefusalDeadlines(w http.ResponseWriter, r *http.Request) {
	srv, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		srv = new(http.Server)
	}
	c, end := http.NewResponseController(w), time.Now().Add(refusalTime)
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		if srv.ReadTimeout <= 0 {
			_ = c.SetReadDeadline(end) // where w knows of none, that is up to the server
		}
		end = end.Add(max(srv.ReadTimeout, refusalTime)) // the answer comes after that
	}
	if srv.WriteTimeout <= 0 {
		_ = c.SetWriteDeadline(end)
	}
}

// turnAway answers r with what err means, and lets go of it.
func (s *Server) turnAway(w http.ResponseWriter, r *http.Request, err error) {
	setRefusalDeadlines(w, r)
	s.writeError(w, r, err)
	letGo(r)
}

// letGo drops what has come of the body of an answered request. Over HTTP/2 a client
// may reset the stream, begin another and reset that, and a deadline set just then
// would keep what nobody has read. Over HTTP/1, net/http reads the body by itself.
func letGo(r *http.Request) {
	if r.ProtoMajor == 2 && r.Body != nil {
		_ = r.Body.Close()
	}
}
