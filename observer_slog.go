package authctx

import (
	"context"
	"log/slog"
)

// NewSlogObserver returns an observer that logs each event as one record:
// refusals and ended streams as warnings, failures as errors, everything else
// as information. A nil logger means [slog.Default] at the time of each event.
//
// Caller's attributes beyond issuer, subject, kind and provenance are not
// logged, nor are tokens or field values. What a peer chose is cut when it is
// long.
func NewSlogObserver(logger *slog.Logger) Observer {
	return slogObserver{logger}
}

type slogObserver struct{ logger *slog.Logger }

func (o slogObserver) Observe(ctx context.Context, e Event) {
	logger := o.logger
	if logger == nil {
		logger = slog.Default()
	}
	level := slogLevel(e.Outcome)
	if !logger.Enabled(ctx, level) {
		return
	}
	logger.LogAttrs(ctx, level, "authctx: "+e.Outcome.String(), slogAttrs(e)...)
}

func slogLevel(o Outcome) slog.Level {
	switch o {
	case Allowed:
		return slog.LevelInfo
	case Failed:
		return slog.LevelError
	}
	return slog.LevelWarn
}

// slogAttrs lists what is there; absent parts are left out.
func slogAttrs(e Event) []slog.Attr {
	attrs := make([]slog.Attr, 0, 12)
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	text("transport", e.Transport)
	text("entry", e.Entry)
	text("method", shortened(e.Method))
	text("target", shortened(e.Target))
	if e.Reason != 0 {
		text("reason", e.Reason.String())
	}
	if e.Err != nil {
		text("cause", e.Err.Error())
	}
	if !e.Principal.IsZero() {
		attrs = append(attrs, slog.Any("principal", e.Principal))
	}
	if e.Peer.IsValid() {
		text("peer", e.Peer.String())
	}
	if len(e.Ignored) > 0 {
		attrs = append(attrs, slog.Any("ignored", e.Ignored))
	}
	if e.Cached {
		attrs = append(attrs, slog.Bool("cached", true))
	}
	return append(attrs, slog.Duration("duration", e.Duration))
}

// shortened bounds what a peer can make a log line of.
func shortened(s string) string {
	const most = 256
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}
