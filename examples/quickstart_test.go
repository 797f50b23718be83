package examples_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestQuickstartTellsItsStory(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := runToEnd(t, "quickstart", "-token-life", "6s")
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

// What a login answers is worded as by a token endpoint (RFC 6749 sections 5.1
// and 5.2), and a 401 has a challenge.
func TestQuickstartLoginAnswersInTheWordsOfATokenEndpoint(t *testing.T) {
	t.Parallel()
	p := start(t, "quickstart", "-serve")
	gateway := regexp.MustCompile(`The gateway is at (\S+),`)
	var url string
	for line := range p.lines {
		if found := gateway.FindStringSubmatch(line); found != nil {
			url = found[1] + "/auth/login"
			break
		}
	}
	for body, want := range map[string]struct {
		status int
		error  string
	}{
		`{"username":"testuser","password":"testpass"}`: {200, ""},
		`{"username":"testuser","password":"guess"}`:    {401, "invalid_grant"},
		`{"username":"nobody","password":"testpass"}`:   {401, "invalid_grant"},
		`{"username":"","password":"testpass"}`:         {401, "invalid_grant"},
		`{}`:                                            {401, "invalid_grant"},
		``:                                              {400, "invalid_request"},
		`username=testuser&password=testpass`:           {400, "invalid_request"},
		`{"username":"testuser","password":"testpass"} and more`: {400, "invalid_request"},
		`{"username":"testuser","password":"testpass"}{}`:        {400, "invalid_request"},
		`{"username":"testuser"}` + strings.Repeat(" ", 4<<10):   {400, "invalid_request"},
		`{"username":["testuser"],"password":"testpass"}`:        {400, "invalid_request"},
	} {
		res, err := http.Post(url, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Error string `json:"error"`
			Token string `json:"access_token"`
		}
		err = json.NewDecoder(res.Body).Decode(&answer)
		res.Body.Close()
		if err != nil || res.StatusCode != want.status || answer.Error != want.error || (answer.Token != "") != (want.status == 200) {
			t.Errorf("%.60s: %s, error %q, %v", body, res.Status, answer.Error, err)
		}
		if got := res.Header.Get("WWW-Authenticate"); (got != "") != (res.StatusCode == 401) {
			t.Errorf("%.60s: %s with challenge %q", body, res.Status, got)
		}
		if got := res.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%.60s: Cache-Control %q", body, got)
		}
	}
}

func TestQuickstartRefusesBadFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-token-life", "0s"}, {"-token-life", "1s"}, {"-token-life", "2.5s"}, {"-token-life", "48h"}, {"-token-life", "soon"}, {"x"}} {
		if code, _, stderr := runToEnd(t, "quickstart", args...); code != 2 || !strings.Contains(stderr, args[len(args)-1]) {
			t.Errorf("%q: exit status %d, standard error %q", args, code, stderr)
		}
	}
}
