package examples_test

import (
	"bufio"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestQuickstartTellsItsStory(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := runToEnd(t, "quickstart", "-token-life", "3s")
	if code != 0 || stderr != "" || strings.Contains(stdout, "WRONG") {
		t.Fatalf("exit status %d, standard error %q, standard output:\n%s", code, stderr, stdout)
	}
	for _, answer := range []string{"< 200 OK", "< 201 Created", "< 401 Unauthorized", "< 403 Forbidden", "< Unauthenticated"} {
		if !strings.Contains(stdout, answer) {
			t.Errorf("the story has no %q:\n%s", answer, stdout)
		}
	}
	if token := regexp.MustCompile(`[\w-]{20,}\.[\w-]{20,}\.[\w-]{20,}`).FindString(stdout); token != "" {
		t.Errorf("the story has a whole token in it: %s", token)
	}
}

// What is printed to be pasted is pasted.
func TestQuickstartServesWhatItPrints(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"sh", "curl", "sed"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	p := start(t, "quickstart", "-serve")
	var script strings.Builder
	for calls := 0; calls < 6; {
		line, ok := <-p.lines
		if !ok {
			t.Fatalf("it ended before it had printed everything; standard error:\n%s", p.stderr.String())
		}
		if strings.HasPrefix(line, "curl ") {
			calls++
			script.WriteString(strings.Replace(line, "curl ", "curl -sS -o /dev/null -w '%{http_code}\\n' ", 1) + "\n")
		} else if strings.Contains(line, "=$(") {
			script.WriteString(line + "\n")
		}
	}
	out, err := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(script.String(), " -i ", " ")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var got []string
	for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); {
		got = append(got, lines.Text())
	}
	if want := []string{"401", "200", "403", "201", "200", "401"}; !slices.Equal(got, want) {
		t.Errorf("the answers are %q, want %q, to\n%s", got, want, script.String())
	}
	p.signal(syscall.SIGINT)
	if code := p.wait(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

func TestQuickstartRefusesBadFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-token-life", "0s"}, {"-token-life", "1s"}, {"-token-life", "48h"}, {"-token-life", "soon"}, {"x"}} {
		if code, _, stderr := runToEnd(t, "quickstart", args...); code != 2 || !strings.Contains(stderr, args[len(args)-1]) {
			t.Errorf("%q: exit status %d, standard error %q", args, code, stderr)
		}
	}
}
