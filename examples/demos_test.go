package examples_test

import (
	"strings"
	"testing"
)

// Programs that show one thing and end.
func TestDemosComeOutAsTheyShould(t *testing.T) {
	t.Parallel()
	for program, lines := range map[string][]string{
		"events": {"sent invoice 1 for alice", "permission_denied", "no_credentials", "invalid_token", "done before"},
		"mtls":   {"200 hello alice", "401 not known", "no connection"},
	} {
		t.Run(program, func(t *testing.T) {
			code, stdout, stderr := runToEnd(t, program)
			if code != 0 || stderr != "" {
				t.Errorf("exit status %d, standard error %q", code, stderr)
			}
			for _, line := range lines {
				if !strings.Contains(stdout, line) {
					t.Errorf("it does not say %q:\n%s", line, stdout)
				}
			}
		})
	}
}

func TestDemosRefuseBadFlags(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"events", "mtls"} {
		for _, arg := range []string{"-nonsense", "nonsense"} {
			if code, stdout, stderr := runToEnd(t, program, arg); code != 2 || stdout != "" || !strings.Contains(stderr, arg) {
				t.Errorf("%s %s: exit status %d, standard output %q, standard error %q", program, arg, code, stdout, stderr)
			}
		}
	}
}
