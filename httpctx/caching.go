package httpctx

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
)

// controlWriter is the writer of an answer of which a cache that many share must not
// make that of another.
type controlWriter struct {
	http.ResponseWriter
	control string // the Cache-Control, if the handler has no say in it
	begun   bool
	preset  bool      // line stands in the header since before the handler
	line    [1]string // of the header, to save an allocation
}

// newControlWriter returns nil if caches need not be told anything. An authenticator
// may say what they are told: an answer with a new DPoP nonce would hand out that one
// for as long as it is kept (RFC 9449 section 8.2). Call begin when the handler has
// returned.
func newControlWriter(w http.ResponseWriter, r *http.Request, d *decision) *controlWriter {
	for _, f := range d.result.Response {
		if strings.EqualFold(f.Name, "cache-control") {
			return &controlWriter{ResponseWriter: w, control: f.Value}
		}
	}
	if d.route.entry.Public || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return nil
	}
	c := &controlWriter{ResponseWriter: w}
	if h := w.Header(); len(h["Cache-Control"]) == 0 { // for handlers that keep to the writer outside
		c.line[0], c.preset = "private", true
		h["Cache-Control"] = c.line[:]
	}
	return c
}

// begin is called before the header is sent.
func (w *controlWriter) begin() {
	if w.begun {
		return
	}
	w.begun = true
	h := w.Header()
	if w.control != "" {
		h.Set("Cache-Control", w.control)
		return
	}
	if lines := h["Cache-Control"]; w.preset && len(lines) > 1 && lines[0] == "private" {
		h["Cache-Control"] = lines[1:] // which a ReverseProxy has added
	}
	asIfAuthorized(h, &w.line)
}

// unless takes begin back if the header was not sent.
func (w *controlWriter) unless(sent, before bool) { w.begun = sent || before }

// asIfAuthorized makes of the Cache-Control of an answer what it says to a request
// that has an Authorization: no shared cache keeps the answer, unless it is told to
// (RFC 9111 section 3.5). By "must-revalidate", which counts for that there, people
// mean the opposite. It writes to line.
func asIfAuthorized(h http.Header, line *[1]string) {
	said := strings.Trim(strings.Join(h["Cache-Control"], ", "), ", ")
	for directive := range strings.SplitSeq(said, ",") {
		switch name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "="); {
		case name == "public", strings.TrimSpace(name) == "s-maxage", name == "no-store":
			return
		case name == "private" && value == "": // otherwise it is about some fields
			return
		}
	}
	if said != "" {
		said += ", "
	}
	line[0] = said + "private"
	h["Cache-Control"] = line[:]
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
	before := w.begun
	w.begin()
	n, err := io.Copy(w.ResponseWriter, r)
	w.unless(n > 0, before)
	return n, err
}

// Flush implements [http.Flusher] as far as the wrapped writer does.
func (w *controlWriter) Flush() { _ = w.FlushError() }

// FlushError serves [http.ResponseController].
func (w *controlWriter) FlushError() error {
	before := w.begun
	w.begin()
	err := http.NewResponseController(w.ResponseWriter).Flush()
	w.unless(err == nil, before)
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
