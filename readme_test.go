package authctx_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCodeInTheREADMECompiles builds every Go block of the README, in a package
// that exists only for the compiler.
func TestCodeInTheREADMECompiles(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```go\n(.*?)^```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 2 {
		t.Fatalf("%d Go blocks", len(blocks))
	}
	var src strings.Builder
	src.WriteString(readmeHead)
	for i, block := range blocks {
		fmt.Fprintf(&src, "func block%d(upstream *url.URL, listOrders, createOrder, health http.HandlerFunc) {\n%s\n%s}\n", i, block[1], "_ = 0\n")
	}
	source := regexp.MustCompile(`\b(propagator|caller|forward|observe) := (must\(jwtauth|jwtauth|grpc)`).ReplaceAllString(src.String(), "_ = $2")

	dir, here := t.TempDir(), must1(os.Getwd())
	file := filepath.Join(dir, "main.go")
	overlay := filepath.Join(dir, "overlay.json")
	place := filepath.Join(here, "examples", "internal", "readme")
	mapping, _ := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(place, "main.go"): file}})
	for name, content := range map[string][]byte{file: []byte(source), overlay: mapping} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-overlay", overlay, "-o", os.DevNull, "./examples/internal/readme").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func must1[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

const readmeHead = `package main

import (
	"context"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"google.golang.org/grpc"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/jwtauth"
)

func must[V any](v V, err error) V {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

var ( // of a block further up
	server   *httpctx.Server
	guard    *grpcctx.Server
	existing http.Handler
)

func main() {}

`
