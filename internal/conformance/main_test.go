package conformance

import (
	"flag"
	"os"
	"testing"
)

// TestMain runs more tests side by side than there are processors: most of their
// time, they wait for an end.
func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "16") // before the command line is read
	os.Exit(m.Run())
}
