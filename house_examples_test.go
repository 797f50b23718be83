package authctx_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"testing"
)

// TestEveryEntryPointHasAnExample: every exported function of a package is named
// after, or called in, an example of the package that is run.
func TestEveryEntryPointHasAnExample(t *testing.T) {
	for _, dir := range []string{".", "jwtauth", "jwtauth/jwtauthtest", "httpctx", "grpcctx"} {
		pkg := documented(t, dir)
		shown, functions := map[string]bool{}, pkg.Funcs
		show(t, shown, pkg.Examples)
		for _, typ := range pkg.Types {
			functions = append(functions, typ.Funcs...)
			show(t, shown, typ.Examples)
			for _, m := range typ.Methods {
				show(t, shown, m.Examples)
			}
		}
		for _, f := range functions {
			show(t, shown, f.Examples)
		}
		for _, f := range functions {
			if len(f.Examples) == 0 && !shown[pkg.Name+"."+f.Name] {
				t.Errorf("%s: no example shows %s", pkg.Name, f.Name)
			}
		}
	}
}

// show notes what examples call, and refuses those that are never run.
func show(t *testing.T, shown map[string]bool, examples []*doc.Example) {
	for _, e := range examples {
		if e.Output == "" && !e.EmptyOutput {
			t.Errorf("Example%s is never run, for it states no output", e.Name)
		}
		ast.Inspect(e.Code, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok {
					shown[x.Name+"."+sel.Sel.Name] = true
				}
			}
			return true
		})
	}
}

func documented(t *testing.T, dir string) *doc.Package {
	t.Helper()
	fset := token.NewFileSet()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %d files, %v", dir, len(names), err)
	}
	var files []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	pkg, err := doc.NewFromFiles(fset, files, dir)
	if err != nil {
		t.Fatal(err)
	}
	return pkg
}
