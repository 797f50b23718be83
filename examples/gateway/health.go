package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"sync"
	"time"
)

// health answers the two questions of whoever runs the gateway, and tells the log
// why the answer is no.
type health struct {
	keys func(context.Context) error // nil when there are any
	log  *slog.Logger

	mu    sync.Mutex
	cause string // that was logged last, without ports; empty when the gateway is ready
}

// handler leaves everything else to next.
func (h *health) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asks := r.Method == http.MethodGet || r.Method == http.MethodHead
		switch {
		case asks && r.URL.Path == "/healthz":
			writeStatus(w, http.StatusOK, "alive")
		case asks && r.URL.Path == "/readyz" && h.isReady(r.Context()):
			writeStatus(w, http.StatusOK, "ready")
		case asks && r.URL.Path == "/readyz":
			writeStatus(w, http.StatusServiceUnavailable, "no keys") // to anybody; why is in the log
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (h *health) isReady(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second) // a probe is not patient
	defer cancel()
	err := h.keys(ctx)
	h.tell(ctx, err)
	return err == nil
}

// begin tells of a first load that has failed also when nobody asks.
func (h *health) begin(ctx context.Context) {
	_ = h.keys(ctx) // takes as long as the slowest issuer: what failed may be there by then
	if ctx.Err() == nil {
		h.isReady(ctx)
	}
}

// clientPort is what tells one failure of a connection from the next.
var clientPort = regexp.MustCompile(`:\d+->`)

// tell logs what is not what it logged last.
func (h *health) tell(ctx context.Context, err error) {
	cause := ""
	if err != nil {
		cause = clientPort.ReplaceAllString(err.Error(), "->")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case cause == h.cause:
		return
	case err != nil:
		h.log.WarnContext(ctx, "not ready: there are no keys", "cause", cause)
	default:
		h.log.InfoContext(ctx, "ready: there are keys")
	}
	h.cause = cause
}

func writeStatus(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, "{\"status\":%q}\n", text)
}
