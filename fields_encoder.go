package authctx

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// fieldEncoder collects fields and the first error. What has to be encoded is
// built in one string, of which the values are parts.
type fieldEncoder struct {
	layout *FieldLayout
	fields []Field
	text   strings.Builder
	err    error
}

// encode returns the fields of a in the order of the layout.
func (l *FieldLayout) encode(a *Attributes) ([]Field, error) {
	if a.Subject == l.Nobody { // none is empty
		return nil, fmt.Errorf("authctx: %s: %q stands for nobody in this field layout", l.Subject, l.Nobody)
	}
	e := fieldEncoder{layout: l, fields: make([]Field, 0, 16)}
	e.text.Grow(sizeHint(a))
	for _, s := range l.texts(a) {
		e.one(s.name, *s.value)
	}
	if a.Kind != User {
		e.needs(l.Kind, "Kind")
		e.add(l.Kind, a.Kind.String())
	}
	for _, s := range l.lists(a) {
		e.list(s.name, *s.value)
	}
	if a.GroupsIncomplete {
		e.add(l.GroupsIncomplete, "true")
	}
	for _, s := range l.times(a) {
		if !s.value.IsZero() {
			e.add(s.name, strconv.FormatInt(s.value.Unix(), 10))
		}
	}
	if !a.AsOf.IsZero() {
		e.needs(l.AsOf, "AsOf")
	}
	if len(a.Actors) > 0 {
		e.needs(l.Actors, "Actors")
		e.actors(a.Actors)
	}
	e.extra(a.Extra)
	return e.fields, e.err
}

// sizeHint is the length of all lists when nothing in them needs encoding.
func sizeHint(a *Attributes) int {
	n := 0
	for _, list := range a.lists() {
		for _, s := range *list.value {
			n += len(s) + 1
		}
	}
	return n
}

// add adds a value that is in the grammar already. What is absent, and what the
// layout has no field for, is left out.
func (e *fieldEncoder) add(name, value string) {
	if name != "" && value != "" {
		e.fields = append(e.fields, Field{name, value})
	}
}

// addBuilt adds the value that was built from start on. Text that grows
// afterwards leaves it where it is.
func (e *fieldEncoder) addBuilt(name string, start int) { e.add(name, e.text.String()[start:]) }

func (e *fieldEncoder) one(name, value string) {
	switch {
	case e.layout.Verbatim:
		e.check(name, verbatim(value))
		e.add(name, value)
	case isPlain(value):
		e.add(name, value)
	default:
		start := e.text.Len()
		writeEscaped(&e.text, value)
		e.addBuilt(name, start)
	}
}

func (e *fieldEncoder) list(name string, list []string) {
	switch {
	case e.layout.Repeat:
		for _, s := range list {
			e.one(name, s)
		}
	case e.layout.Verbatim:
		if slices.ContainsFunc(list, notInList) {
			e.check(name, errVerbatim)
		}
		e.one(name, strings.Join(list, ","))
	default:
		start := e.text.Len()
		for i, s := range list {
			if i > 0 {
				e.text.WriteByte(',')
			}
			writeEscaped(&e.text, s)
		}
		e.addBuilt(name, start)
	}
}

// notInList reports an element that a comma-separated list without encoding
// would change.
func notInList(s string) bool {
	return strings.Contains(s, ",") || strings.Trim(s, " \t") != s
}

func (e *fieldEncoder) actors(chain []Actor) {
	start := e.text.Len()
	for _, actor := range chain {
		e.pair(start, actor.Issuer, ' ', actor.Subject)
	}
	e.addBuilt(e.layout.Actors, start)
}

// extra writes keys in order, so that one caller has one encoded form.
func (e *fieldEncoder) extra(extra map[string][]string) {
	if len(extra) == 0 {
		return
	}
	start := e.text.Len()
	for _, key := range slices.Sorted(maps.Keys(extra)) {
		for _, value := range extra[key] {
			if e.layout.ExtraPrefix != "" {
				e.one(e.layout.ExtraPrefix+escapeKey(key), value)
			} else {
				e.pair(start, key, '=', value)
			}
		}
	}
	if e.layout.ExtraPrefix == "" {
		e.addBuilt(e.layout.Extra, start)
	}
}

// pair appends one element of a list that began at start.
func (e *fieldEncoder) pair(start int, left string, sep byte, right string) {
	if e.text.Len() > start {
		e.text.WriteByte(',')
	}
	writeEscaped(&e.text, left)
	e.text.WriteByte(sep)
	writeEscaped(&e.text, right)
}

// needs fails for an attribute without which the caller would be read as another,
// or as one of another time.
func (e *fieldEncoder) needs(name, attribute string) {
	if name == "" && e.err == nil {
		e.err = fmt.Errorf("authctx: the field layout cannot say the caller's %s", attribute)
	}
}

// check keeps the first error about a field that the layout has.
func (e *fieldEncoder) check(name string, err error) {
	if err != nil && name != "" && e.err == nil {
		e.err = fmt.Errorf("authctx: %s %w", name, err)
	}
}
