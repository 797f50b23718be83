package httpctx

import (
	"context"
	"fmt"
	"net/http"

	"github.com/authctx/authctx"
)

// usualFields is how many fields a caller with many attributes takes.
const usualFields = 16

// injector writes callers into headers.
type injector struct {
	propagator authctx.Propagator
	fields     authctx.FieldSet
	keys       map[string]string
}

func newInjector(prop authctx.Propagator) injector {
	fields := prop.Fields()
	return injector{propagator: prop, fields: fields, keys: canonicalKeys(fields)}
}

// inject writes p into h, from which the propagator's fields were removed. A field
// that comes several times has several values. On an error h is not to be sent:
// a propagator that writes what it does not own is one, since nobody would have
// removed that field before.
func (i *injector) inject(ctx context.Context, p authctx.Principal, h http.Header) error {
	var foreign string
	values := make([]string, 0, usualFields) // one array for all
	err := i.propagator.Inject(ctx, p, func(name, value string) {
		key, ok := i.keys[name]
		if !ok {
			key = http.CanonicalHeaderKey(name)
			if !i.fields.Owns(name) {
				foreign = name
			}
		}
		if before := h[key]; len(before) > 0 {
			h[key] = append(before, value)
			return
		}
		values = append(values, value)
		h[key] = values[len(values)-1 : len(values) : len(values)]
	})
	switch {
	case err != nil:
		return fmt.Errorf("httpctx: the caller cannot be sent: %w", err)
	case foreign != "":
		return fmt.Errorf("httpctx: the propagator wrote %q, which is not among its fields", foreign)
	}
	return nil
}
