package authctx

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// maxFieldsRead bounds what a reader decodes. It is far above any sensible
// budget, so that a writer's larger budget is not an outage.
const maxFieldsRead = 64 << 10

// fieldDecoder decodes single fields and keeps the first error, which names the
// field and never its value.
type fieldDecoder struct {
	layout  *FieldLayout
	request *Request
	size    int
	err     error
}

// decode reads the attributes of a request, without asking whether they are
// complete.
func (l *FieldLayout) decode(r *Request) (Attributes, error) {
	d := fieldDecoder{layout: l, request: r}
	var a Attributes
	for _, s := range l.texts(&a) {
		*s.value = decoded(&d, s.name, d.element)
	}
	for _, s := range l.lists(&a) {
		*s.value = d.list(s.name)
	}
	for _, s := range l.times(&a) {
		*s.value = decoded(&d, s.name, parseTime)
	}
	a.Kind = decoded(&d, l.Kind, parseKind)
	a.GroupsIncomplete = decoded(&d, l.GroupsIncomplete, parseTrue)
	d.pairs(l.Actor, ' ', func(issuer, subject string) {
		a.Actors = append(a.Actors, Actor{issuer, subject})
	})
	addExtra := func(key, value string) {
		if a.Extra == nil {
			a.Extra = map[string][]string{}
		}
		a.Extra[key] = append(a.Extra[key], value)
	}
	d.pairs(l.Extra, '=', addExtra)
	d.prefixed(l.ExtraPrefix, addExtra)
	return a, d.err
}

// values returns what a field holds, within the bound on the whole.
func (d *fieldDecoder) values(name string) []string {
	if name == "" {
		return nil
	}
	values := d.request.Values(name)
	for _, v := range values {
		if d.size += len(v); d.size > maxFieldsRead {
			d.fail(name, fmt.Errorf("identity fields exceed %d bytes", maxFieldsRead))
			return nil
		}
	}
	return values
}

// one returns the single value of a field, empty when it is absent.
func (d *fieldDecoder) one(name string) string {
	values := d.values(name)
	switch len(values) {
	case 0:
		return ""
	case 1:
		return strings.Trim(values[0], " \t")
	}
	d.fail(name, errors.New("it occurs more than once"))
	return ""
}

func (d *fieldDecoder) fail(name string, err error) {
	if d.err == nil {
		d.err = fmt.Errorf("%s: %w", name, err)
	}
}

// decoded applies a parser to a field that is there.
func decoded[V any](d *fieldDecoder, name string, parse func(string) (V, error)) (v V) {
	value := d.one(name)
	if value == "" {
		return v
	}
	parsed, err := parse(value)
	if err != nil {
		d.fail(name, err)
		return v
	}
	return parsed
}

// element reads one text in the layout's encoding.
func (d *fieldDecoder) element(s string) (string, error) {
	if d.layout.Verbatim {
		return readVerbatim(s)
	}
	return unescape(s)
}

func (d *fieldDecoder) list(name string) []string {
	if !d.layout.Repeat {
		return decoded(d, name, func(value string) ([]string, error) { return splitList(value, d.element) })
	}
	var list []string
	for _, value := range d.values(name) {
		s, err := d.element(value)
		if err != nil {
			d.fail(name, err)
			return nil
		}
		if s != "" {
			list = append(list, s)
		}
	}
	return list
}

func (d *fieldDecoder) pairs(name string, sep byte, add func(left, right string)) {
	if value := d.one(name); value != "" {
		if err := splitPairs(value, sep, add); err != nil {
			d.fail(name, err)
		}
	}
}

// prefixed reads extra attributes that have a field each.
func (d *fieldDecoder) prefixed(prefix string, add func(key, value string)) {
	if prefix == "" || d.request == nil || d.request.Fields == nil {
		return
	}
	for name := range d.request.Fields.Names() {
		if len(name) <= len(prefix) || !strings.EqualFold(name[:len(prefix)], prefix) {
			continue
		}
		key, err := percentDecode(strings.ToLower(name[len(prefix):]))
		if err != nil {
			d.fail(prefix, err)
			return
		}
		for _, value := range d.values(name) {
			s, err := d.element(value)
			if err != nil || s == "" {
				d.fail(prefix, errGrammar)
				return
			}
			add(key, s)
		}
	}
}

func parseTime(value string) (time.Time, error) {
	n, err := parseSeconds(value)
	return time.Unix(n, 0), err
}

func parseKind(value string) (Kind, error) {
	switch value {
	case User.String():
		return User, nil
	case Service.String():
		return Service, nil
	}
	return 0, errGrammar
}

func parseTrue(value string) (bool, error) {
	if value != "true" {
		return false, errGrammar
	}
	return true, nil
}
