package jwtauthtest_test

import (
	"context"
	"fmt"
	"testing"
)

// exampleT stands in for the *testing.T that an example does not have.
type exampleT struct {
	testing.TB
	cleanups []func()
}

func (t *exampleT) Context() context.Context  { return context.Background() }
func (t *exampleT) Helper()                   {}
func (t *exampleT) Cleanup(f func())          { t.cleanups = append(t.cleanups, f) }
func (t *exampleT) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

// Run runs a subtest, as that of a *testing.T does.
func (t *exampleT) Run(_ string, f func(t *exampleT)) {
	sub := &exampleT{}
	defer sub.end()
	f(sub)
}

func (t *exampleT) end() {
	for _, f := range t.cleanups {
		f()
	}
}
