package grpcctx

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc"
)

// ServiceLister is what [Server.CheckServices] looks at; a [grpc.Server] is one.
type ServiceLister interface {
	GetServiceInfo() map[string]grpc.ServiceInfo
}

// CheckServices compares the policy with the methods of srv. Call it once all
// services are registered, before serving. Its error lists
//
//   - methods that the policy does not list, which would be refused;
//   - entries that name a registered service but rule none of its calls: for a
//     method that it does not have, without the leading slash, in another letter
//     case, or as a mux has it, "POST /package.Service/{method}";
//   - interceptors that nobody has asked s for ([Server.ServerOptions]), since srv
//     then lets everybody in.
//
// It accepts entries that may be routes of HTTP: those beside another entry that does
// rule the calls, and one such as "/orders/" if a service without a package is called
// orders or Orders. It ignores entries for services that are not registered, as several
// programs may share one policy. It cannot see whether srv was given the interceptors,
// nor the streams that grpc runs without them, see ServerOptions.
//
// Clients check health without credentials if their service config has a
// healthCheckConfig, as always with go-kratos. Unless the policy has
// "/grpc.health.v1.Health/*" in Public, all of their calls fail with Unavailable.
func (s *Server) CheckServices(srv ServiceLister) error {
	return errors.Join(append(s.checkPolicy(srv), s.checkInterceptors())...)
}

func (s *Server) checkInterceptors() error {
	switch unary, stream := s.unaryOut.Load(), s.streamOut.Load(); {
	case !unary && !stream:
		return errors.New("grpcctx: the server has no interceptors: pass ServerOptions to grpc.NewServer")
	case !unary:
		return errors.New("grpcctx: the server has no interceptor for unary calls: give it UnaryInterceptor too")
	case !stream:
		return errors.New("grpcctx: the server has no interceptor for streams: give it StreamInterceptor too")
	}
	return nil
}

// checkPolicy lists what does not fit. With AllowAnonymous every handler
// decides.
func (s *Server) checkPolicy(srv ServiceLister) (errs []error) {
	if s.policy == nil {
		return nil
	}
	services := methodsOf(srv)
	for _, service := range slices.Sorted(maps.Keys(services)) {
		for _, method := range services[service] {
			if full := "/" + service + "/" + method; !s.policy.RPC(full).Listed() {
				errs = append(errs, fmt.Errorf("grpcctx: the policy says nothing about %s", full))
			}
		}
	}
	for _, name := range s.policy.Names() {
		errs = append(errs, s.checkEntry(name, services))
	}
	return errs
}

// methodsOf returns the methods of each service. They are sorted, since grpc has them
// in a map and the same mistake should always have the same text.
func methodsOf(srv ServiceLister) map[string][]string {
	services := map[string][]string{}
	for service, info := range srv.GetServiceInfo() {
		methods := []string{}
		for _, m := range info.Methods {
			methods = append(methods, m.Name)
		}
		slices.Sort(methods)
		services[service] = methods
	}
	return services
}

// checkEntry returns why an entry that names a registered service rules none of
// its calls: they would have the default rule, or be refused. What may be meant as a
// route of HTTP is left alone.
func (s *Server) checkEntry(name string, services map[string][]string) error {
	path, post := strings.CutPrefix(name, "POST ") // no other HTTP method brings calls
	written, method, _ := strings.Cut(strings.Trim(path, " /"), "/")
	service := likeliest(written, slices.Sorted(maps.Keys(services)))
	packaged := strings.Contains(service, ".") // or else routes may have its name
	if service == "" || service != written && !packaged && method != "*" {
		return nil
	}
	known := likeliest(method, append([]string{"*"}, services[service]...))
	right, whole := "/"+service+"/"+known, "/"+service+"/*"
	switch {
	case method == "" || strings.HasPrefix(method, "{"): // how a mux has the whole, beside the entry of gRPC
		if (packaged || service != strings.ToLower(service)) && s.leftToDefault(service, services[service]) {
			return misspelled(name, whole)
		}
	case known != "": // by POST, a mux may have it beside the entry of gRPC
		if name != right && (!post || s.policy.RPC(right).Name != right) {
			return misspelled(name, right)
		}
	case !post && !strings.Contains(method, "{"): // which only a route has
		return fmt.Errorf("grpcctx: the policy names %s, but %s has no such method", name, service)
	}
	return nil
}

func misspelled(name, right string) error {
	return fmt.Errorf("grpcctx: the policy names %q, which rules no call of gRPC: write %q", name, right)
}

// leftToDefault reports whether a method of the service has the default rule.
func (s *Server) leftToDefault(service string, methods []string) bool {
	return slices.ContainsFunc(methods, func(method string) bool {
		e := s.policy.RPC("/" + service + "/" + method)
		return e.Listed() && !strings.HasPrefix(e.Name, "/"+service+"/")
	})
}

// likeliest returns that one of names, or else one whose letters are the same but
// for their case, empty for none.
func likeliest(name string, names []string) string {
	if slices.Contains(names, name) {
		return name
	}
	if i := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, name) }); i >= 0 {
		return names[i]
	}
	return ""
}
