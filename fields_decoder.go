package authctx

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxFieldsRead bounds the values that a reader decodes, and every writer's budget.
// It is far above any sensible one.
const maxFieldsRead = 64 << 10

// fieldDecoder decodes single fields and keeps the first error, which names the
// field and never its value.
type fieldDecoder struct {
	layout  *FieldLayout
	request *Request
	size    int
	err     error
}

// decode reads the attributes of a request into a, without asking whether they
// are complete.
func (l *FieldLayout) decode(r *Request, a *Attributes) error {
	d := fieldDecoder{layout: l, request: r}
	for _, s := range l.texts(a) {
		*s.value = d.text(s.name)
	}
	d.lists(a)
	for _, s := range l.times(a) {
		*s.value = decoded(&d, s.name, parseTime)
	}
	a.Kind = decoded(&d, l.Kind, parseKind)
	a.GroupsIncomplete = decoded(&d, l.GroupsIncomplete, parseTrue)
	d.actors(a)
	d.extra(a)
	return d.err
}

// namesNobody reports whether the subject in r is the one that stands for nobody.
func (l *FieldLayout) namesNobody(r *Request) bool {
	d := fieldDecoder{layout: l, request: r}
	return l.Nobody != "" && d.text(l.Subject) == l.Nobody // which is empty where it cannot be read
}

func (a *Attributes) addExtra(key, value string) {
	if a.Extra == nil {
		a.Extra = map[string][]string{}
	}
	a.Extra[key] = append(a.Extra[key], value)
}

// values returns what a field holds.
func (d *fieldDecoder) values(name string) []string {
	values, err := d.read(name)
	d.check(name, err)
	return values
}

// read returns what a field holds, within the bound on the whole. Space at an end,
// which HTTP/1 takes away, is dropped later where a writer encodes its own, and
// refused where it might be the value's.
func (d *fieldDecoder) read(name string) ([]string, error) {
	if name == "" {
		return nil, nil
	}
	values := d.request.Values(name)
	for _, v := range values {
		if d.size += len(v); d.size > maxFieldsRead {
			return nil, fmt.Errorf("identity fields exceed %d bytes", maxFieldsRead)
		}
		if d.layout.Verbatim && strings.Trim(v, " \t") != v {
			return nil, errSpace
		}
	}
	return values, nil
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
	d.check(name, errDoubled)
	return ""
}

// check keeps the first error.
func (d *fieldDecoder) check(name string, err error) {
	if err != nil && d.err == nil {
		d.err = fmt.Errorf("%s: %w", name, err)
	}
}

// text reads one text.
func (d *fieldDecoder) text(name string) string {
	s, err := d.layout.element(d.one(name))
	d.check(name, err)
	return s
}

// decoded applies a parser to a field that is there.
func decoded[V any](d *fieldDecoder, name string, parse func(string) (V, error)) (v V) {
	value := d.one(name)
	if value == "" {
		return v
	}
	parsed, err := parse(value)
	if err != nil {
		d.check(name, err)
		return v
	}
	return parsed
}

// element reads one text in the layout's encoding.
func (l *FieldLayout) element(s string) (string, error) {
	if l.Verbatim {
		return readVerbatim(s)
	}
	return unescape(s)
}

// lists reads all lists into one backing array.
func (d *fieldDecoder) lists(a *Attributes) {
	slots := d.layout.lists(a)
	var raw [len(slots)][]string
	n := 0
	for i, s := range slots {
		raw[i] = d.values(s.name)
		for _, value := range raw[i] {
			n += strings.Count(value, ",") + 1
		}
	}
	all := make([]string, 0, n)
	for i, s := range slots {
		start := len(all)
		var err error
		if all, err = d.layout.appendList(all, raw[i]); err != nil {
			d.check(s.name, err)
			return
		}
		*s.value = all[start:len(all):len(all)]
	}
}

// appendList appends the elements that a field's values hold.
func (l *FieldLayout) appendList(list, values []string) ([]string, error) {
	if len(values) > 1 && !l.Repeat {
		return nil, errDoubled
	}
	for _, value := range values {
		for more := true; more; {
			part := value
			if !l.Repeat {
				part, value, more = strings.Cut(value, ",")
			} else {
				more = false
			}
			s, err := l.element(part)
			if err != nil {
				return nil, err
			}
			if s == "" {
				return nil, errGrammar
			}
			list = append(list, s)
		}
	}
	return list, nil
}

// pairs reads one list of pairs.
func (d *fieldDecoder) pairs(name string, separator byte, add func(left, right string)) {
	switch values := d.values(name); len(values) {
	case 0:
	case 1:
		d.check(name, splitPairs(values[0], separator, add))
	default:
		d.check(name, errDoubled)
	}
}

func (d *fieldDecoder) actors(a *Attributes) {
	d.pairs(d.layout.Actors, ' ', func(issuer, subject string) {
		a.Actors = append(a.Actors, Actor{issuer, subject})
	})
}

func (d *fieldDecoder) extra(a *Attributes) {
	d.pairs(d.layout.Extra, '=', a.addExtra)
	if d.layout.ExtraPrefix == "" {
		return
	}
	var read map[string]bool // names that differ in case have their values together
	for _, name := range slices.Collect(d.request.Fields.Names()) {
		key, ok := d.layout.extraKey(name)
		if !ok {
			continue
		}
		if key = lowerName(key); !read[key] {
			if read == nil {
				read = map[string]bool{}
			}
			read[key] = true
			d.check(d.layout.ExtraPrefix, d.extraField(a, name, key))
		}
	}
}

// extraKey returns what follows ExtraPrefix, which is not empty, in the name of a
// field, whose case it leaves.
func (l *FieldLayout) extraKey(name string) (escaped string, ok bool) {
	n := len(l.ExtraPrefix)
	if len(name) <= n || !strings.EqualFold(name[:n], l.ExtraPrefix) { // as long, so it is ASCII, too
		return "", false
	}
	return name[n:], true
}

// extraField reads a field that carries one extra attribute in its name, the key in
// lower case.
func (d *fieldDecoder) extraField(a *Attributes, name, escapedKey string) error {
	key, err := percentDecode(escapedKey)
	if err != nil {
		return err
	}
	values, err := d.read(name)
	if err != nil {
		return err
	}
	for _, value := range values {
		s, err := d.layout.element(value)
		if err != nil {
			return err
		}
		a.addExtra(key, s)
	}
	return nil
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
