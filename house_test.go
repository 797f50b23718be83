package authctx_test

import (
	"encoding/json"
	"go/version"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// goList runs go list and decodes its answer.
func goList(t *testing.T, into func(*json.Decoder) error, args ...string) {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for dec.More() {
		if err := into(dec); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDependencyRule holds every package's imports, tests aside, to what its
// room of the house may touch.
func TestDependencyRule(t *testing.T) {
	var module string
	goList(t, func(dec *json.Decoder) error {
		var m struct{ Path string }
		err := dec.Decode(&m)
		module = m.Path
		return err
	}, "-m", "-json")

	internal := module + "/internal/..."
	allowed := map[string][]string{ // by the first element of the path below the module
		"":         nil,
		"internal": {module, internal},
		"jwtauth":  {module, internal, module + "/jwtauth/...", "github.com/golang-jwt/...", "github.com/MicahParks/..."},
		"httpctx":  {module, internal},
		"grpcctx":  {module, internal, "google.golang.org/..."},
		"examples": { // whoever copies one copies their internal packages at most
			module, module + "/jwtauth/...", module + "/httpctx", module + "/grpcctx", module + "/examples/internal/...",
			"google.golang.org/...",
		},
	}
	checked := map[string]bool{}
	goList(t, func(dec *json.Decoder) error {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&pkg); err != nil {
			return err
		}
		room, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(pkg.ImportPath, module), "/"), "/")
		rules, known := allowed[room]
		if !known {
			t.Errorf("%s is in a room that nobody planned", pkg.ImportPath)
		}
		checked[room] = true
		for _, path := range pkg.Imports {
			if strings.Contains(strings.Split(path, "/")[0], ".") && !permitted(path, rules) {
				t.Errorf("%s imports %s", pkg.ImportPath, path)
			}
		}
		return nil
	}, "-json=ImportPath,Imports", "./...")
	for room := range allowed {
		if !checked[room] && room != "internal" {
			t.Errorf("no package was found in %q", room)
		}
	}
}

// permitted reports whether path is one of the rules, or below one that ends in
// "/...".
func permitted(path string, rules []string) bool {
	return slices.ContainsFunc(rules, func(rule string) bool {
		dir, tree := strings.CutSuffix(rule, "/...")
		return path == dir || tree && strings.HasPrefix(path, dir+"/")
	})
}

// TestRequirements: the three chosen packages, what they need, nothing else.
func TestRequirements(t *testing.T) {
	chosen := []string{
		"github.com/golang-jwt/jwt/v5", "google.golang.org/grpc", "github.com/MicahParks/keyfunc/v3",
		"github.com/MicahParks/jwkset", "golang.org/x/time", // of keyfunc
		"golang.org/x/net", "golang.org/x/sys", "golang.org/x/text", // of grpc
		"google.golang.org/genproto/googleapis/rpc", "google.golang.org/protobuf",
	}
	out, err := exec.Command("go", "mod", "edit", "-json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Require []struct{ Path string }
		Replace []any
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	if len(mod.Require) < 3 || len(mod.Replace) > 0 {
		t.Errorf("%d requirements, %d replacements", len(mod.Require), len(mod.Replace))
	}
	for _, r := range mod.Require {
		if !slices.Contains(chosen, r.Path) {
			t.Errorf("go.mod requires %s", r.Path)
		}
	}
}

// TestCVE_2023_29406_TheGoOfUsersHasWhatItFixed: go.mod asks for a Go, and a golang.org/x/net,
// in which the servers and clients beneath us do not take one request for another.
func TestCVE_2023_29406_TheGoOfUsersHasWhatItFixed(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{if .Main}}{{.GoVersion}}{{else}}{{.Version}}{{end}}", "github.com/authctx/authctx", "golang.org/x/net").Output()
	if err != nil {
		t.Fatal(err)
	}
	versions := strings.Fields(string(out))
	if len(versions) != 2 {
		t.Fatalf("go list: %s", out)
	}
	for cve, fixed := range map[string]string{
		"CVE-2015-5739, CVE-2015-5740, CVE-2015-5741": "go1.4.3",
		"CVE-2022-1705":  "go1.18.4",
		"CVE-2023-29406": "go1.20.6",
		"CVE-2025-22871": "go1.24.2",
	} {
		if got := "go" + versions[0]; version.Compare(got, fixed) < 0 {
			t.Errorf("%s is fixed in %s, and %s is enough for go.mod", cve, fixed, got)
		}
	}
	if minor, _ := strconv.Atoi(strings.Split(versions[1], ".")[1]); minor < 2 {
		t.Errorf("CVE-2022-41721 is fixed in golang.org/x/net v0.2.0, and go.mod has %s", versions[1])
	}
}

// TestCVE_2015_10004_SecretsAreComparedInConstantTime: what compares bytes and
// stops at the first difference tells how much was right. A file that makes a MAC
// must name what compares it.
func TestCVE_2015_10004_SecretsAreComparedInConstantTime(t *testing.T) {
	files := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "vendor" {
			return fs.SkipDir
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		for _, hasty := range []string{"bytes.Equal(", "bytes.Compare(", "reflect.DeepEqual(", "mac.Sum(nil)) ==", "mac.Sum(nil)) !="} {
			if strings.Contains(string(text), hasty) {
				t.Errorf("%s: %s is not constant in time", path, hasty)
			}
		}
		if strings.Contains(string(text), `"crypto/hmac"`) && !strings.Contains(string(text), "sameText(") && !strings.Contains(string(text), "hmac.Equal(") {
			t.Errorf("%s makes a MAC and compares it by other means than sameText and hmac.Equal", path)
		}
		return err
	})
	if err != nil || files == 0 {
		t.Fatalf("%d files, %v", files, err)
	}
}
