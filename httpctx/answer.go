package httpctx

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/grpchttp"
	"github.com/authctx/authctx/internal/hints"
)

// defaultRetryAfter is what a client waits when nobody knows better.
const defaultRetryAfter = 5 * time.Second

// challenge is one scheme and the text that it begins (RFC 9110 section 11.6.1).
type challenge struct{ scheme, text string }

// newChallenge makes the challenge of a scheme that may have parameters. More is
// what every challenge has besides.
func newChallenge(scheme, realm, more string) challenge {
	name, parameters, _ := strings.Cut(scheme, " ")
	text := name + ` realm="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(realm) + `"` + more
	if parameters != "" {
		text += ", " + parameters
	}
	return challenge{name, text}
}

// problem is the body of a refusal (RFC 9457). Reason is an extension member
// for programs; it has the label of [authctx.Reason.Public] and is absent where
// nobody was refused.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Reason string `json:"reason,omitempty"`
}

// isBearer reports whether a scheme is that of bearer tokens, perhaps with parameters.
func isBearer(scheme string) bool {
	name, _, _ := strings.Cut(scheme, " ")
	return strings.EqualFold(name, "Bearer")
}

// newChallenges returns a challenge for each scheme, those of Bearer first.
func newChallenges(realm, more string, schemes []string) (challenges []challenge) {
	if realm == "" {
		realm = "api"
	}
	if len(schemes) == 0 {
		schemes = []string{"Bearer"} // a 401 must name one (RFC 9110 section 15.5.2)
	}
	// Order means nothing (RFC 9110 section 11.6.1), but there are clients that look
	// at what stands first and want it to be Bearer.
	for _, first := range []bool{true, false} {
		for _, scheme := range schemes {
			if isBearer(scheme) == first {
				challenges = append(challenges, newChallenge(scheme, realm, more))
			}
		}
	}
	return challenges
}

// statusOf returns the one HTTP answer of a public reason.
func statusOf(reason authctx.Reason) int {
	switch reason {
	case authctx.InvalidRequest:
		return http.StatusBadRequest
	case authctx.InsufficientScope, authctx.PermissionDenied:
		return http.StatusForbidden
	case authctx.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusUnauthorized
}

// errorCode returns the "error" of a challenge (RFC 6750 section 3.1, RFC 9449
// section 12.2, RFC 9470 section 3), empty when there is none.
func errorCode(reason authctx.Reason) string {
	switch reason {
	case authctx.InvalidRequest:
		return "invalid_request"
	case authctx.InvalidToken, authctx.TokenExpired, authctx.TokenRevoked:
		return "invalid_token"
	case authctx.InvalidProof:
		return "invalid_dpop_proof"
	case authctx.NonceRequired:
		return "use_dpop_nonce"
	case authctx.InsufficientAuthentication:
		return "insufficient_user_authentication"
	case authctx.InsufficientScope:
		return "insufficient_scope"
	}
	return ""
}

// WriteError answers r with what err means, for handlers that decide themselves
// with [authctx.Authorize]: status, challenge and problem details (RFC 9457) of the
// error's reason, and nothing of its cause. Nil and an error without a reason count
// as [authctx.Unavailable], which is 503; the error of [Server.Check] for early data
// is 425. Refuse of [ServerConfig] is asked first.
//
// The observer is told of err if r is the request that [Server.Handler] gave to a
// handler, which was allowed before. By then it has been told of what Check refused, and
// of the end that is the [context.Cause] of [Server.StreamContext]. Pass that Cause and
// not the Err of the context, which has no reason: it would be told, and answered, as a
// failure.
func (s *Server) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	if err == nil {
		err = authctx.Unavailable
	}
	_, ended := errors.AsType[*refusal](err) // of which the observer was told then
	if !ended && admission(r.Context()).told == s {
		s.observeRefusal(r, err)
	}
	s.writeError(w, r, err)
}

// writeError is WriteError for what the observer knows.
func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	reason := authctx.ReasonOf(err).Public()
	early := reason == authctx.Unavailable && errors.Is(err, errEarly)
	if s.refuse != nil && !early && !grpchttp.IsRequest(r) { // gRPC would take it for metadata
		s.challenge(w.Header(), r, reason, err)
	}
	if s.refused(w, r, err) {
		return
	}
	if early {
		writeTooEarly(w, r)
		return
	}
	s.challenge(w.Header(), r, reason, err) // whatever Refuse has made of it
	writeProblem(w, r, problem{Status: statusOf(reason), Detail: reason.Description(), Reason: reason.String()})
}

// writeProblem answers r with p, of which it fills in Type and Title.
func writeProblem(w http.ResponseWriter, r *http.Request, p problem) {
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	body, _ := json.Marshal(p) // a struct of texts and a number cannot fail
	h := w.Header()
	// What was meant for another body does not describe this one. As in http.Error,
	// Content-Encoding stays and the length is left to the server: middleware outside
	// may compress what is written here (go.dev/issue/66343).
	for _, name := range []string{"Content-Length", "Etag", "Last-Modified"} {
		h.Del(name)
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(append(body, '\n')) // the client may have gone
	}
}

// refused reports whether Refuse has answered r.
func (s *Server) refused(w http.ResponseWriter, r *http.Request, err error) bool {
	if s.refuse == nil {
		return false
	}
	stripped := s.stripped(r)
	defer handBack(r, stripped)
	return s.refuse(w, stripped, err)
}

// stripped returns a copy of r without what is never shown to user code.
func (s *Server) stripped(r *http.Request) *http.Request {
	header, _ := s.strip.header(r.Header, authctx.FieldSet{}, nil)
	clone := r.WithContext(s.withUnread(r.Context(), header))
	clone.Header = header
	s.strip.trailer(clone, r)
	return clone
}

// challenge writes WWW-Authenticate, or Retry-After where trying again is what
// helps. The scheme that the client tried has the error. All schemes are in one
// line, as in RFC 9449 section 7.2: fetch in Firefox drops a field that comes in
// several.
func (s *Server) challenge(h http.Header, r *http.Request, reason authctx.Reason, err error) {
	h.Del("WWW-Authenticate")
	switch reason {
	case authctx.Unavailable:
		h.Set("Retry-After", retryAfter(err))
		return
	case authctx.PermissionDenied:
		return
	}
	code := errorCode(reason)
	tried := s.tried(r, reason, code)
	all := make([]string, len(s.challenges))
	for i, c := range s.challenges {
		all[i] = c.text
		if code != "" && i == tried {
			all[i] += `, error="` + code + `", error_description="` + reason.Description() + `"` + hintParameters(err)
		}
	}
	h.Set("WWW-Authenticate", strings.Join(all, ", "))
}

// tried returns the index of the scheme that the error belongs to, -1 for none: a
// token in a cookie or a field of its own was tried by no scheme but Bearer, and
// what was wrong with it is no error of another. What the client needs besides, it
// may bring by any.
func (s *Server) tried(r *http.Request, reason authctx.Reason, code string) int {
	want := scheme(r)
	if want == "" { // a refusal behind the Server
		want = admission(r.Context()).scheme
	}
	elsewhere := want == ""
	if elsewhere {
		want = "Bearer"
	}
	if reason == authctx.InvalidProof || reason == authctx.NonceRequired {
		want = "DPoP"
	}
	for i, c := range s.challenges {
		if strings.EqualFold(c.scheme, want) {
			return i
		}
	}
	if elsewhere && (code == "invalid_token" || code == "invalid_request") {
		return -1
	}
	return 0
}

// scheme returns the authentication scheme that r uses, empty for none.
func scheme(r *http.Request) string {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return scheme
}

// hintParameters returns the parameters that tell a client how to do better.
func hintParameters(err error) string {
	h := hints.Of(err)
	var b strings.Builder
	for _, p := range [...][2]string{{"acr_values", h.ACRValues}, {"scope", h.Scopes}, {"max_age", h.MaxAge}} {
		if name, value := p[0], p[1]; value != "" {
			b.WriteString(", " + name + `="` + value + `"`)
		}
	}
	return b.String()
}

func retryAfter(err error) string {
	wait := defaultRetryAfter
	if e, ok := errors.AsType[*authctx.Error](err); ok && e != nil && e.RetryAfter > 0 {
		wait = e.RetryAfter
	}
	return strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10)
}

// quotable reports whether s can stand in a quoted-string, with escapes.
func quotable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c >= 0x7f })
}
