package authctx

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
)

// String returns the table for people who review who may call what: a line for each
// entry, sorted by name, and one for what is not listed. Public entries let in everybody,
// and a nil or zero Policy nobody. A rule is shown by its String method, or else by its
// type: give rules of your own one. Rules that handlers apply themselves are not known
// here. The text may change with versions of this package.
func (p *Policy) String() string {
	var text strings.Builder
	lines := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, name := range p.Names() {
		fmt.Fprintf(lines, "%s\t%s\n", name, p.entries[name].text())
	}
	var fallback Entry
	if p != nil {
		fallback = p.fallback
	}
	fmt.Fprintf(lines, "%s\t%s\n", defaultEntry, fallback.text())
	_ = lines.Flush() // a Builder takes everything
	return text.String()
}

// text says whom an entry lets in.
func (e Entry) text() string {
	switch {
	case e.Public:
		return "everybody"
	case e.rule == nil:
		return "nobody"
	}
	return ruleText(e.rule)
}

func ruleText(rule Rule) string {
	s, ok := rule.(fmt.Stringer)
	if !ok {
		return fmt.Sprintf("%T", rule)
	}
	text := s.String()
	if text == "" || !exactName(text) { // it could pass for another line
		return strconv.Quote(text)
	}
	return text
}

func (authenticatedRule) String() string { return "Authenticated()" }
func (a *attributeRule) String() string  { return fmt.Sprintf("%s(%q)", a.attribute, a.want) }
func (s scopeRule) String() string       { return fmt.Sprintf("Scope(%q)", s.scope) }
func (a ageRule) String() string         { return fmt.Sprintf("MaxAuthAge(%v)", a.age) }
func (a allRule) String() string         { return textOf("All", a, ruleText) }
func (a anyRule) String() string         { return textOf("Any", a, ruleText) }

func (a acrRule) String() string {
	return textOf("ACR", a.classes, func(class string) string { return fmt.Sprintf("%q", class) })
}

// textOf is a call of what makes a rule of several.
func textOf[T any](name string, of []T, text func(T) string) string {
	texts := make([]string, len(of))
	for i, one := range of {
		texts[i] = text(one)
	}
	return name + "(" + strings.Join(texts, ", ") + ")"
}
