package exactname_test

import (
	"testing"

	"github.com/authctx/authctx/internal/exactname"
)

func TestWhatNobodyMeansIsNoName(t *testing.T) {
	for _, s := range []string{"", "https://i.test/a?b=c&d", "urn:example:api", "Orders of 2026", "api://0f", "bücher", "注文", "a\ufffdb", "{tenant}"} {
		if !exactname.Valid(s) {
			t.Errorf("%q is no name", s)
		}
	}
	for _, s := range []string{" ", "api ", " api", "api\n", "api\r", "a\tb", "a\x00", "\xff", "api\u200b", "\ufeffapi", "api\u00a0", "a\u202eb"} {
		if exactname.Valid(s) {
			t.Errorf("%q is a name", s)
		}
	}
}
