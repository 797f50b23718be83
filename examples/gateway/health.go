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
// why the answer is no. Known keys go on without their provider, so the log is told
// too when they cannot be loaded again.
type health struct {
	keys  func(context.Context) error // nil when there are any
	loads func() error                // nil when the last load of all went well
	log   *slog.Logger

	mu           sync.Mutex
	unready, old string // causes that were logged last, without what passes; empty when all is well
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

// watch tells of what changes also when nobody asks.
func (h *health) watch(ctx context.Context) {
	_ = h.keys(ctx) // takes as long as the slowest issuer: what failed may be there by then
	look := time.NewTicker(10 * time.Second)
	defer look.Stop()
	for ctx.Err() == nil {
		h.isReady(ctx)
		select {
		case <-look.C:
		case <-ctx.Done():
		}
	}
}

// passing is what tells one failure from the next of the same cause: the port of the
// client, and the time at which a certificate had ended.
var passing = regexp.MustCompile(`:\d+->|current time \S+ `)

// tell logs what is not what it logged last.
func (h *health) tell(ctx context.Context, unready error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.note(ctx, &h.unready, unready, "not ready: there are no keys", "ready: there are keys")
	if unready == nil { // else that says it already
		h.note(ctx, &h.old, h.loads(), "keys do not load as they should: those of issuers that are known go on", "keys load as they should")
	}
}

// note needs the lock.
func (h *health) note(ctx context.Context, last *string, err error, bad, good string) {
	cause := ""
	if err != nil {
		cause = passing.ReplaceAllString(err.Error(), "")
	}
	switch {
	case cause == *last:
		return
	case err != nil:
		h.log.WarnContext(ctx, bad, "cause", err)
	default:
		h.log.InfoContext(ctx, good)
	}
	*last = cause
}

func writeStatus(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, "{\"status\":%q}\n", text)
}
