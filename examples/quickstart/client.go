package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// client makes requests, prints them with their answers, and remembers whether
// every answer was the one expected.
type client struct {
	out   io.Writer
	http  *http.Client
	steps int
	wrong int
}

// request is what the client sends.
type request struct {
	method, url string
	token       string   // sent as a bearer token unless empty
	header      []string // "Name: value", sent as written
	body        string   // JSON
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// field returns a value of the JSON body by its path, as text.
func (a answer) field(path ...string) string {
	var value any
	if json.Unmarshal([]byte(a.body), &value) != nil {
		return ""
	}
	for _, key := range path {
		object, _ := value.(map[string]any)
		value = object[key]
	}
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

// step begins a step of the story.
func (c *client) step(title string) {
	c.steps++
	fmt.Fprintf(c.out, "\n%d. %s\n", c.steps, title)
}

// call prints the request, makes it, and prints the answer.
func (c *client) call(ctx context.Context, r request) (answer, error) {
	c.print("  > ", r.method+" "+r.url)
	for _, line := range r.header {
		c.print("  > ", line)
	}
	if r.token != "" {
		c.print("  > ", "Authorization: Bearer "+brief(r.token))
	}
	if r.body != "" {
		c.print("  > ", r.body)
	}
	a, err := c.do(ctx, r)
	if err != nil {
		return a, err
	}
	c.print("  < ", fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)))
	if challenge := a.header.Get("WWW-Authenticate"); challenge != "" {
		c.print("  < ", "WWW-Authenticate: "+challenge)
	}
	if a.body != "" {
		c.print("  < ", a.body)
	}
	return a, nil
}

// do makes a request without printing it.
func (c *client) do(ctx context.Context, r request) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, strings.NewReader(r.body))
	if err != nil {
		return answer{}, err
	}
	for _, line := range r.header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header[name] = append(req.Header[name], value)
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	if r.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return answer{}, err
	}
	return answer{res.StatusCode, res.Header, string(bytes.TrimSpace(body))}, nil
}

// want compares what came with what should have come, and says so.
func (c *client) want(what, got, want string) {
	if got == want {
		fmt.Fprintf(c.out, "  ok: %s is %s\n", what, want)
		return
	}
	c.wrong++
	fmt.Fprintf(c.out, "  WRONG: %s is %q, expected %q\n", what, got, want)
}

func (c *client) wantStatus(a answer, status int) {
	c.want("the status", fmt.Sprint(a.status), fmt.Sprint(status))
}

// print writes one line and shortens every token in it, as a program should
// that prints what it sends.
func (c *client) print(prefix, line string) {
	fmt.Fprintln(c.out, prefix+tokens.ReplaceAllStringFunc(line, brief))
}

var tokens = regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+`)

// brief is enough of a token to recognize it, and too little to use it.
func brief(token string) string {
	if len(token) < 12 {
		return token
	}
	return fmt.Sprintf("%s... (%d bytes)", token[:12], len(token))
}
