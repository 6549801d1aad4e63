package parity

import (
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// Source finds identifiers in the source of a module, and in the standard library. It parses and does not type-check: the
// files of every platform count, and nothing is built.
type Source struct {
	root     string // directory of the module
	module   string // its path
	packages map[string]*syntax
}

// NewSource returns the source of the module of this path in this directory.
func NewSource(root, module string) *Source {
	return &Source{root: root, module: module, packages: make(map[string]*syntax)}
}

// syntax is what a package declares.
type syntax struct {
	names   map[string]bool            // functions, variables, constants, types
	types   map[string]declared        // the types again
	methods map[string]map[string]bool // by the name of the receiver's type
	tests   map[string]bool            // functions of the test files
}

// declared is a type and the file whose imports its expression uses.
type declared struct {
	spec *ast.TypeSpec
	file *ast.File
}

// Identifier returns an error when the identifier, for instance engine.Feed.Append, does not exist.
func (s *Source) Identifier(identifier string) error {
	dir, names, err := splitIdentifier(identifier)
	if err != nil {
		return err
	}
	p, err := s.load(dir)
	if err != nil {
		return err
	}
	if !p.names[names[0]] {
		return fmt.Errorf("package %s does not declare %s", dir, names[0])
	}
	if len(names) == 1 {
		return nil
	}
	if _, ok := p.types[names[0]]; !ok {
		return fmt.Errorf("%s.%s is not a type", dir, names[0])
	}
	if !s.member(typeName{dir, names[0]}, names[1], anyMember, make(map[typeName]bool)) {
		return fmt.Errorf("%s.%s has no field or method %s", dir, names[0], names[1])
	}
	return nil
}

// Test returns an error when the top level of the test, for instance engine.TestFeed of engine.TestFeed/append, is not a
// function of the package's test files.
func (s *Source) Test(test string) error {
	dir, name, err := splitTest(test)
	if err != nil {
		return err
	}
	p, err := s.load(dir)
	if err != nil {
		return err
	}
	top, _, _ := strings.Cut(name, "/")
	if !p.tests[top] {
		return fmt.Errorf("the tests of package %s do not declare %s", dir, top)
	}
	return nil
}

// splitIdentifier takes engine/sleep.Feed.Append apart: engine/sleep, and Feed, Append.
func splitIdentifier(identifier string) (dir string, names []string, err error) {
	parent, last := path.Split(identifier)
	names = strings.Split(last, ".")
	if len(names) < 2 || len(names) > 3 {
		return "", nil, fmt.Errorf("%q is not package.Name or package.Type.Member", identifier)
	}
	for _, n := range names {
		if n == "" {
			return "", nil, fmt.Errorf("%q has an empty name", identifier)
		}
	}
	return parent + names[0], names[1:], nil
}

// splitTest takes engine/sleep.TestFeed/append apart: engine/sleep and TestFeed/append.
func splitTest(test string) (dir, name string, err error) {
	dir, name, ok := strings.Cut(test, ".")
	if !ok || dir == "" || !isTest(name) {
		return "", "", fmt.Errorf("%q is not package.TestName", test)
	}
	return dir, name, nil
}

func isTest(name string) bool {
	return strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Example") || strings.HasPrefix(name, "Fuzz")
}

// typeName is a type by the directory of its package and its name.
type typeName struct{ dir, name string }

// wanted says which members count: a type that is defined by another one, and is no alias, has its fields (and, if it is an
// interface, its methods) but not the methods declared for it.
type wanted bool

const (
	anyMember     wanted = true
	notItsMethods wanted = false
)

// member reports whether the type has the field or method, its own or that of an embedded type.
func (s *Source) member(t typeName, name string, which wanted, visited map[typeName]bool) bool {
	if visited[t] {
		return false
	}
	visited[t] = true
	p, err := s.load(t.dir)
	if err != nil {
		return false
	}
	if which == anyMember && p.methods[t.name][name] {
		return true
	}
	d, ok := p.types[t.name]
	if !ok {
		return false
	}
	follow := func(expr ast.Expr, which wanted) bool {
		to, ok := s.named(expr, t.dir, d.file)
		return ok && s.member(to, name, which, visited)
	}
	var fields *ast.FieldList
	switch expr := d.spec.Type.(type) {
	case *ast.StructType:
		fields = expr.Fields
	case *ast.InterfaceType:
		fields = expr.Methods
	default:
		if d.spec.Assign.IsValid() {
			return follow(expr, anyMember)
		}
		return follow(expr, notItsMethods)
	}
	for _, f := range fields.List {
		for _, n := range f.Names {
			if n.Name == name {
				return true
			}
		}
		if len(f.Names) > 0 {
			continue
		}
		if to, ok := s.named(f.Type, t.dir, d.file); ok && to.name == name {
			return true // the embedded field itself
		}
		if follow(f.Type, anyMember) {
			return true
		}
	}
	return false
}

// base returns T of T, *T, T[P] and *T[P, Q].
func base(expr ast.Expr) ast.Expr {
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.ParenExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		default:
			return expr
		}
	}
}

// named returns the type that an expression names.
func (s *Source) named(expr ast.Expr, dir string, file *ast.File) (typeName, bool) {
	switch e := base(expr).(type) {
	case *ast.Ident:
		return typeName{dir, e.Name}, true
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok {
			if dir, ok := s.imported(x.Name, file); ok {
				return typeName{dir, e.Sel.Name}, true
			}
		}
	}
	return typeName{}, false
}

// imported returns the directory of the package that a file imports under this name.
func (s *Source) imported(name string, file *ast.File) (string, bool) {
	for _, spec := range file.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		as := path.Base(target)
		if spec.Name != nil {
			as = spec.Name.Name
		}
		if as == name {
			return strings.TrimPrefix(target, s.module+"/"), true
		}
	}
	return "", false
}

// load parses the package in this directory of the module or, failing that, of the standard library.
func (s *Source) load(dir string) (*syntax, error) {
	if p, ok := s.packages[dir]; ok {
		return p, nil
	}
	for _, parent := range []string{s.root, filepath.Join(build.Default.GOROOT, "src")} {
		p, err := parsePackage(filepath.Join(parent, filepath.FromSlash(dir)))
		if err != nil {
			return nil, err
		}
		if p != nil {
			s.packages[dir] = p
			return p, nil
		}
	}
	return nil, fmt.Errorf("there is no package %s", dir)
}

// parsePackage returns nil when the directory has no Go files or does not exist.
func parsePackage(dir string) (*syntax, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	p := &syntax{names: make(map[string]bool), types: make(map[string]declared), methods: make(map[string]map[string]bool), tests: make(map[string]bool)}
	files := token.NewFileSet()
	found := false
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() || filepath.Ext(name) != ".go" {
			continue
		}
		file, err := parser.ParseFile(files, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		found = true
		if strings.HasSuffix(name, "_test.go") {
			p.addTests(file)
		} else {
			p.add(file)
		}
	}
	if !found {
		return nil, nil
	}
	return p, nil
}

func (p *syntax) addTests(file *ast.File) {
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && isTest(f.Name.Name) {
			p.tests[f.Name.Name] = true
		}
	}
}

func (p *syntax) add(file *ast.File) {
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				p.names[d.Name.Name] = true
				continue
			}
			receiver := ""
			if id, ok := base(d.Recv.List[0].Type).(*ast.Ident); ok {
				receiver = id.Name
			}
			if p.methods[receiver] == nil {
				p.methods[receiver] = make(map[string]bool)
			}
			p.methods[receiver][d.Name.Name] = true
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					p.names[spec.Name.Name] = true
					p.types[spec.Name.Name] = declared{spec, file}
				case *ast.ValueSpec:
					for _, n := range spec.Names {
						p.names[n.Name] = true
					}
				}
			}
		}
	}
}
