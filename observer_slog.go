package authctx

import (
	"context"
	"log/slog"
	"unicode/utf8"
)

// NewSlogObserver returns an observer that logs each event as one record: at the level
// Info what was allowed; at Error what failed while the client was still waiting; at Warn
// everything else, such as refusals and ended streams. A nil logger means [slog.Default]
// at the time of each event.
//
// Of the caller it logs issuer, subject, kind and provenance and no other
// attribute. It logs no tokens and no field values. Texts that a peer or an issuer chose
// are cut after 256 bytes, and causes after 4 KiB. Strangers can cause any number of
// refusals: if logs are expensive, give the logger a handler that samples.
func NewSlogObserver(logger *slog.Logger) Observer {
	return slogObserver{logger}
}

type slogObserver struct{ logger *slog.Logger }

func (o slogObserver) Observe(ctx context.Context, e Event) {
	logger := o.logger
	if logger == nil {
		logger = slog.Default()
	}
	level := slogLevel(ctx, e.Outcome)
	if !logger.Enabled(ctx, level) {
		return
	}
	logger.LogAttrs(ctx, level, "authctx: "+e.Outcome.String(), slogAttrs(e)...)
}

func slogLevel(ctx context.Context, o Outcome) slog.Level {
	switch {
	case o == Allowed:
		return slog.LevelInfo
	case o == Failed && ctx.Err() != context.Canceled:
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
	text("method", shortened(e.Method, mostOfText))
	text("target", shortened(e.Target, mostOfText))
	if e.Reason != 0 {
		text("reason", e.Reason.String())
	}
	if e.Err != nil {
		text("cause", shortened(e.Err.Error(), mostOfCause))
	}
	if !e.Principal.IsZero() {
		attrs = append(attrs, slogPrincipal(e.Principal))
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

// slogPrincipal is [Principal.LogValue] with texts cut. The caller is not zero.
func slogPrincipal(p Principal) slog.Attr {
	attrs := p.LogValue().Group()
	for i, a := range attrs {
		attrs[i].Value = slog.StringValue(shortened(a.Value.String(), mostOfText))
	}
	return slog.Attr{Key: "principal", Value: slog.GroupValue(attrs...)}
}

// How many bytes of a text are logged. A cause may have a stack in it.
const (
	mostOfText  = 256
	mostOfCause = 4 << 10
)

// shortened bounds what a peer can make a log line of.
func shortened(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "..."
}
