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

// CheckServices compares the policy with the methods of srv and returns an error
// that lists what does not fit: methods that the policy does not list, which
// would be refused, and entries that name a method which a registered service
// does not have. Call it once all services are registered, before serving.
//
// It fails too when nobody has asked for [Server.ServerOptions], or for only one of
// the two interceptors, for srv then lets everybody in. It cannot see whether srv
// was given them, nor the streams that grpc runs without them, see there.
//
// A client that checks health, by a healthCheckConfig in its service config as those
// of go-kratos always have, does so without credentials: unless the policy has
// "/grpc.health.v1.Health/*" in Public, all of its calls fail with Unavailable.
//
// It has nothing to say about entries for services that are not registered, as
// one policy may be shared by several programs.
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
	services := srv.GetServiceInfo()
	for _, service := range slices.Sorted(maps.Keys(services)) {
		for _, method := range services[service].Methods {
			if full := "/" + service + "/" + method.Name; !s.policy.RPC(full).Listed() {
				errs = append(errs, fmt.Errorf("grpcctx: the policy says nothing about %s", full))
			}
		}
	}
	for _, name := range s.policy.Names() {
		service, method, _ := strings.Cut(strings.TrimPrefix(name, "/"), "/")
		info, registered := services[service]
		if registered && method != "*" && !slices.ContainsFunc(info.Methods, func(m grpc.MethodInfo) bool { return m.Name == method }) {
			errs = append(errs, fmt.Errorf("grpcctx: the policy names %s, but %s has no such method", name, service))
		}
	}
	return errs
}
