package authctx_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"testing"
)

// TestEveryEntryPointHasAnExample: where pkg.go.dev shows an exported function of
// a package, it shows an example of it or of what it makes, or one of the package
// calls it. All examples are run.
func TestEveryEntryPointHasAnExample(t *testing.T) {
	for _, dir := range []string{".", "jwtauth", "jwtauth/jwtauthtest", "httpctx", "grpcctx"} {
		pkg := documented(t, dir, 0)
		called := callsIn(pkg.Examples)
		check := func(f *doc.Func, made []*doc.Example) {
			areRun(t, f.Examples)
			if len(f.Examples)+len(made) == 0 && !called[pkg.Name+"."+f.Name] {
				t.Errorf("%s: no example shows %s", pkg.Name, f.Name)
			}
		}
		areRun(t, pkg.Examples)
		for _, f := range pkg.Funcs {
			check(f, nil)
		}
		for _, typ := range pkg.Types {
			areRun(t, typ.Examples)
			for _, m := range typ.Methods {
				areRun(t, m.Examples)
			}
			for _, f := range typ.Funcs {
				check(f, typ.Examples)
			}
		}
	}
}

// TestConstructorsAreListedWithWhatTheyMake: the go command gives up on that
// in a package in which a struct embeds error, or a variable is declared as one.
func TestConstructorsAreListedWithWhatTheyMake(t *testing.T) {
	for _, dir := range []string{".", "jwtauth", "jwtauth/jwtauthtest", "httpctx", "grpcctx"} {
		pkg := documented(t, dir, doc.AllDecls)
		made := map[string]bool{}
		for _, typ := range pkg.Types {
			made["New"+typ.Name] = true
		}
		for _, f := range pkg.Funcs {
			if made[f.Name] {
				t.Errorf("%s: go doc lists %s apart from its type", pkg.Name, f.Name)
			}
		}
	}
}

// areRun refuses examples that are never run.
func areRun(t *testing.T, examples []*doc.Example) {
	t.Helper()
	for _, e := range examples {
		if e.Output == "" && !e.EmptyOutput {
			t.Errorf("Example%s is never run, for it states no output", e.Name)
		}
	}
}

// callsIn returns what examples call, as "package.Function".
func callsIn(examples []*doc.Example) map[string]bool {
	called := map[string]bool{}
	for _, e := range examples {
		ast.Inspect(e.Code, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok {
					called[x.Name+"."+sel.Sel.Name] = true
				}
			}
			return true
		})
	}
	return called
}

func documented(t *testing.T, dir string, mode doc.Mode) *doc.Package {
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
	pkg, err := doc.NewFromFiles(fset, files, dir, mode)
	if err != nil {
		t.Fatal(err)
	}
	return pkg
}
