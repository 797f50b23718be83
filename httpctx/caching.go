package httpctx

import (
	"bufio"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/authctx/authctx"
)

// caching is what keeps an answer that one caller got from being given to another
// by a cache that many share. Such a cache keeps no answer to a request that has an
// Authorization (RFC 9111 section 3.5), but it knows no cookie for a credential,
// nor what a gateway writes in place of the Authorization that it takes away.
//
// Its slices are shared by all answers, and full, so that whoever adds to one gets
// another.
type caching struct {
	private []string // of Cache-Control
	vary    []string // names of all that a caller is known by; empty for none
}

// newCaching returns what callers need whom an authenticator knows by fields. What
// begins with a prefix cannot be named in Vary.
func newCaching(fields authctx.FieldSet) caching {
	var names []string
	for _, name := range fields.Names {
		names = append(names, http.CanonicalHeaderKey(name))
	}
	if len(fields.Cookies) > 0 && !slices.Contains(names, "Cookie") {
		names = append(names, "Cookie")
	}
	if len(fields.Subprotocols) > 0 && !slices.Contains(names, "Sec-Websocket-Protocol") {
		names = append(names, "Sec-Websocket-Protocol")
	}
	c := caching{private: []string{"private"}}
	if len(names) > 0 {
		c.vary = []string{strings.Join(names, ", ")}
	}
	return c
}

// protect prepares h for the answer to a request that was let in.
func (c *caching) protect(h http.Header, d *decision, method string) {
	if method != http.MethodGet && method != http.MethodHead || d.route.entry.Public {
		return
	}
	if len(h["Cache-Control"]) == 0 {
		h["Cache-Control"] = c.private
	}
	switch before := h["Vary"]; {
	case len(c.vary) == 0 || slices.Contains(before, c.vary[0]): // of a Server outside
	case len(before) == 0:
		h["Vary"] = c.vary
	default:
		h["Vary"] = append(before, c.vary[0])
	}
}

// settle makes one of what stood in h before, such as what protect has left, and
// what an upstream has said besides.
func (c *caching) settle(h, before http.Header) {
	preset, now := before["Cache-Control"], h["Cache-Control"]
	if len(preset) == 1 && &preset[0] == &c.private[0] && len(now) > 1 && now[0] == preset[0] {
		h["Cache-Control"] = now[1:]
	}
	// Of several lines, nginx before 1.23 looks at the last alone.
	if lines := h["Vary"]; len(before["Vary"]) > 0 && len(lines) > 1 {
		h["Vary"] = []string{strings.Join(lines, ", ")}
	}
}

// asIfAuthorized makes of the Cache-Control of an answer to a request without
// Authorization what it says to one that has it: no shared cache keeps the answer,
// unless it says so (RFC 9111 section 3.5).
func asIfAuthorized(h http.Header) {
	said := strings.Join(h["Cache-Control"], ", ")
	if said == "" {
		return
	}
	for directive := range strings.SplitSeq(said, ",") {
		switch strings.ToLower(strings.TrimSpace(directive)) {
		case "public", "must-revalidate", "private", "no-store": // private="x" is about that field
			return
		}
		if name, _, _ := strings.Cut(directive, "="); strings.EqualFold(strings.TrimSpace(name), "s-maxage") {
			return
		}
	}
	h["Cache-Control"] = []string{said + ", private"}
}

// withControl returns w, or where an authenticator asks for a Cache-Control of the
// answer, a writer that does not leave it to the handler: an answer with a new DPoP
// nonce would hand out that one for as long as it is kept (RFC 9449 section 8.2).
// Call done when the handler has returned.
func withControl(w http.ResponseWriter, fields []authctx.Field) (_ http.ResponseWriter, done func()) {
	for _, f := range fields {
		if strings.EqualFold(f.Name, "cache-control") {
			c := &controlWriter{ResponseWriter: w, control: f.Value}
			return c, c.begin
		}
	}
	return w, func() {}
}

// controlWriter is a response writer whose answer has a certain Cache-Control.
type controlWriter struct {
	http.ResponseWriter
	control string
	begun   bool
}

// Unwrap serves [http.ResponseController].
func (w *controlWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// begin is called before the header is sent.
func (w *controlWriter) begin() {
	if !w.begun {
		w.begun = true
		w.Header().Set("Cache-Control", w.control)
	}
}

func (w *controlWriter) WriteHeader(status int) {
	if status >= http.StatusOK {
		w.begin()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *controlWriter) Write(b []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(b)
}

// Flush implements [http.Flusher] as far as the wrapped writer does.
func (w *controlWriter) Flush() { _ = w.FlushError() }

// FlushError serves [http.ResponseController].
func (w *controlWriter) FlushError() error {
	w.begin()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// CloseNotify implements [http.CloseNotifier].
func (w *controlWriter) CloseNotify() <-chan bool { return closeNotify(w.ResponseWriter) }

// Hijack implements [http.Hijacker].
func (w *controlWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}
