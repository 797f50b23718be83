package httpctx

import (
	"errors"
	"log"
	"net/http"
	"net/http/httputil"
	"strings"

	"github.com/authctx/authctx/internal/uncarried"
)

// errorHandler answers refusals, and leaves other errors to the handler of rp,
// or does what a ReverseProxy without one does.
func (p *Proxy) errorHandler(rp *httputil.ReverseProxy) func(http.ResponseWriter, *http.Request, error) {
	next, logf := rp.ErrorHandler, log.Printf
	if rp.ErrorLog != nil {
		logf = rp.ErrorLog.Printf
	}
	if next == nil {
		next = func(w http.ResponseWriter, _ *http.Request, err error) {
			logf("http: proxy error: %v", err)
			w.WriteHeader(http.StatusBadGateway)
		}
	}
	return func(w http.ResponseWriter, r *http.Request, err error) {
		refused, held := refusalOf(r.Context())
		out, sent := proxiedFrom(r.Context())
		switch fault := faultOf(out); {
		case held && hasReason(refused):
			p.server.writeError(w, r, refused.err)
		case held:
			p.writeUnsent(w, r, &uncarried.Error{Cause: refused.err})
		case fault != nil:
			writeFault(w, r, fault)
		case sent && !out.answered && isTooLarge(err):
			p.server.observeRefusal(out.in, err)
			p.writeUnsent(w, r, &uncarried.Error{Cause: err, TooLarge: true})
		default:
			next(w, r, err)
		}
	}
}

// writeFault answers a request whose body could not be read.
func writeFault(w http.ResponseWriter, r *http.Request, fault error) {
	failure := problem{Status: http.StatusBadRequest, Detail: "The body of the request could not be read."}
	if _, ok := errors.AsType[*http.MaxBytesError](fault); ok {
		failure = problem{Status: http.StatusRequestEntityTooLarge, Detail: "The body of the request is too large."}
	}
	writeProblem(w, r, failure)
}

// isTooLarge reports whether err is that of a transport of net/http which was asked
// to send more header than the upstream takes (SETTINGS_MAX_HEADER_LIST_SIZE, RFC
// 9113 section 6.5.2). It is only known by its text.
func isTooLarge(err error) bool {
	return strings.HasSuffix(err.Error(), "request header list larger than peer's advertised limit")
}

// writeUnsent answers a request that could not be written for the upstream: not as
// the upstream's failure, which clients would try again.
func (p *Proxy) writeUnsent(w http.ResponseWriter, r *http.Request, err *uncarried.Error) {
	if p.server.refused(w, r, err) {
		return
	}
	failure := problem{Status: http.StatusInternalServerError, Detail: err.Detail()}
	if err.TooLarge {
		failure.Status = http.StatusRequestHeaderFieldsTooLarge
	}
	writeProblem(w, r, failure)
}
