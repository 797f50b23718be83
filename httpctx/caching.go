package httpctx

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
)

// controlWriter is the writer of an answer that a shared cache must not give to
// anybody else.
type controlWriter struct {
	http.ResponseWriter
	control string // the Cache-Control, if the handler has no say in it
	server  *Server
	begun   bool
	preset  bool      // line stands in the header, for handlers that keep to the writer outside
	line    [1]string // Cache-Control in the header, to save an allocation
	vary    [1]string // Vary, likewise
}

// newControlWriter returns nil if caches need not be told anything. An authenticator
// may say what they are told: an answer with a new DPoP nonce would hand out that one
// for as long as it is kept (RFC 9449 section 8.2). Call finish when the handler has
// returned.
func (s *Server) newControlWriter(w http.ResponseWriter, r *http.Request, d *decision) *controlWriter {
	if r.Method == http.MethodConnect { // which no cache keeps, and WebTransport looks at w itself
		return nil
	}
	for _, f := range d.result.Response {
		if strings.EqualFold(f.Name, "cache-control") {
			return &controlWriter{ResponseWriter: w, control: f.Value}
		}
	}
	if d.route.entry.Public || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return nil
	}
	c := &controlWriter{ResponseWriter: w, server: s}
	if h := w.Header(); len(h["Cache-Control"]) == 0 {
		c.line[0], c.preset = "private", true
		h["Cache-Control"] = c.line[:]
	}
	return c
}

// Header returns the header without the preset. A handler that asks w is served by
// begin, and may have a default of its own where no Cache-Control is set.
func (w *controlWriter) Header() http.Header {
	h := w.ResponseWriter.Header()
	if w.preset {
		w.preset = false
		if lines := h["Cache-Control"]; len(lines) == 1 && &lines[0] == &w.line[0] {
			delete(h, "Cache-Control")
		}
	}
	return h
}

// begin is called before the header is sent.
func (w *controlWriter) begin() {
	if !w.begun {
		w.begun = true
		w.finish()
	}
}

// finish completes the header. It is called again when the handler has returned: a
// writer outside may have held the header back, whatever the handler believes.
func (w *controlWriter) finish() {
	h := w.ResponseWriter.Header()
	if w.control != "" {
		h.Set("Cache-Control", w.control)
		return
	}
	if asIfAuthorized(h, &w.line) && mayBeReused(h) {
		w.server.vary.addTo(h, &w.vary)
	}
}

// asIfAuthorized gives an answer the Cache-Control that one to a request with an
// Authorization has in effect: no shared cache keeps it, unless it is told to (RFC 9111
// section 3.5) and nothing else forbids it. "must-revalidate" and an "s-maxage" of 0
// would tell it to, but people mean the opposite by them. It writes to line, and
// reports whether a private cache may keep what no shared one does.
func asIfAuthorized(h http.Header, line *[1]string) (private bool) {
	said, shared := strings.Trim(strings.Join(h["Cache-Control"], ", "), ", "), false
	for directive := range strings.SplitSeq(unquoted(said), ",") {
		switch name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "="); {
		case name == "no-store":
			return false
		case name == "public", strings.TrimSpace(name) == "s-maxage" && strings.Trim(value, " 0") != "":
			shared = true
		case name == "private" && value == "": // otherwise it is about some fields
			private = true
		}
	}
	if private || shared {
		return private
	}
	if said != "" {
		said += ", "
	}
	line[0] = said + "private"
	h["Cache-Control"] = line[:]
	return true
}

// unquoted returns s with nothing between its quotes, where names of fields stand.
func unquoted(s string) string {
	if !strings.Contains(s, `"`) {
		return s
	}
	parts := strings.Split(s, `"`)
	for i := 1; i < len(parts); i += 2 {
		parts[i] = ""
	}
	return strings.Join(parts, `"`)
}

// Unwrap serves [http.ResponseController].
func (w *controlWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

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

// WriteString implements [io.StringWriter].
func (w *controlWriter) WriteString(s string) (int, error) {
	w.begin()
	return io.WriteString(w.ResponseWriter, s)
}

// ReadFrom implements [io.ReaderFrom], by which net/http has the system send a file.
func (w *controlWriter) ReadFrom(r io.Reader) (int64, error) {
	w.begin()
	n, err := io.Copy(w.ResponseWriter, r)
	w.begun = n > 0 // without a byte, the header may not be sent yet; to complete it twice does no harm
	return n, err
}

// Flush implements [http.Flusher] as far as the wrapped writer does.
func (w *controlWriter) Flush() { _ = w.FlushError() }

// FlushError serves [http.ResponseController].
func (w *controlWriter) FlushError() error {
	w.begin()
	err := http.NewResponseController(w.ResponseWriter).Flush()
	w.begun = err == nil // as in ReadFrom
	return err
}

// Push implements [http.Pusher] as far as the wrapped writer does.
func (w *controlWriter) Push(target string, opts *http.PushOptions) error {
	if p, ok := w.ResponseWriter.(http.Pusher); ok {
		return p.Push(target, opts)
	}
	return http.ErrNotSupported
}

// CloseNotify implements [http.CloseNotifier].
func (w *controlWriter) CloseNotify() <-chan bool { return closeNotify(w.ResponseWriter) }

// Hijack implements [http.Hijacker].
func (w *controlWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}
