package authctx_test

import (
	"bytes"
	"flag"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
)

var updateAPI = flag.Bool("update-api", false, "write the exported API to testdata/api")

// TestExportedAPI compares what each package exports with the list that was
// reviewed. A change shows up as a change of that list.
func TestExportedAPI(t *testing.T) {
	for name, dir := range map[string]string{
		"authctx": ".", "jwtauth": "jwtauth", "jwtauthtest": "jwtauth/jwtauthtest", "httpctx": "httpctx", "grpcctx": "grpcctx",
	} {
		got := exportedAPI(t, dir)
		if strings.Count(got, "\n") < 10 {
			t.Errorf("%s: only %q", name, got)
		}
		file := "testdata/api/" + name + ".txt"
		if *updateAPI {
			if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
				t.Error(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil || string(want) != got {
			t.Errorf("%s exports something else than %s says (%v); if that is meant, run\n\tgo test -run ExportedAPI . -update-api", name, file, err)
		}
	}
}

// exportedAPI lists every exported declaration of a package, without comments,
// bodies and unexported fields.
func exportedAPI(t *testing.T, dir string) string {
	t.Helper()
	fset := token.NewFileSet()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var decls []string
	for _, file := range slices.DeleteFunc(files, notSource) {
		parsed, err := parser.ParseFile(fset, dir+"/"+file.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.FileExports(parsed)
		for _, decl := range parsed.Decls {
			decls = append(decls, declarations(t, fset, decl)...)
		}
	}
	slices.Sort(decls)
	return strings.Join(decls, "\n") + "\n"
}

func notSource(file fs.DirEntry) bool {
	return file.IsDir() || !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go")
}

// declarations prints one declaration per function and per exported type,
// constant group or variable group.
func declarations(t *testing.T, fset *token.FileSet, decl ast.Decl) []string {
	if f, ok := decl.(*ast.FuncDecl); ok {
		if f.Body = nil; f.Recv != nil && !exportedReceiver(f.Recv.List[0].Type) {
			return nil
		}
	}
	if g, ok := decl.(*ast.GenDecl); ok && (g.Tok == token.IMPORT || len(g.Specs) == 0) {
		return nil
	}
	var out bytes.Buffer
	if err := (&printer.Config{Mode: printer.UseSpaces, Tabwidth: 1}).Fprint(&out, fset, decl); err != nil {
		t.Fatal(err)
	}
	return []string{strings.Join(strings.Fields(out.String()), " ")}
}

func exportedReceiver(expr ast.Expr) bool {
	if star, ok := expr.(*ast.StarExpr); ok {
		expr = star.X
	}
	name, ok := expr.(*ast.Ident)
	return !ok || name.IsExported()
}
