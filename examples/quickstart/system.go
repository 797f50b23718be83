package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"

	"google.golang.org/grpc"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/examples/internal/democa"
	"github.com/authctx/authctx/examples/internal/program"
	"github.com/authctx/authctx/jwtauth"
)

// Workloads know one another by these names in their certificates.
const (
	gatewayID = "spiffe://quickstart.example/gateway"
	usersID   = "spiffe://quickstart.example/users"
	ordersID  = "spiffe://quickstart.example/orders"
)

// system is the auth service, the gateway and the two services behind it, each
// on a loopback port of its own.
type system struct {
	ca                                         *democa.Authority
	authListener, gatewayListener              net.Listener
	usersListener, ordersListener              net.Listener
	authHandler, gatewayHandler, ordersHandler http.Handler
	usersServer                                *grpc.Server
	gateway                                    *gateway
	keys                                       *jwtauth.RemoteKeys
}

func (s *system) gatewayURL() string { return "http://" + s.gatewayListener.Addr().String() }
func (s *system) ordersURL() string  { return "https://" + s.ordersListener.Addr().String() }
func (s *system) users() string      { return s.usersListener.Addr().String() }

func newSystem(tokenLife time.Duration) (*system, error) {
	s := new(system)
	for _, l := range []*net.Listener{&s.authListener, &s.gatewayListener, &s.usersListener, &s.ordersListener} {
		var err error
		if *l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, err
		}
	}
	var err error
	if s.ca, err = democa.New(); err != nil {
		return nil, err
	}
	issuer := "http://" + s.authListener.Addr().String()
	if s.authHandler, err = newAuthService(issuer, tokenLife); err != nil {
		return nil, err
	}
	return s, errors.Join(s.buildServices(), s.buildGateway(issuer))
}

// buildServices makes the services. Both trust the gateway's certificate, and
// nothing else, to say who is calling.
func (s *system) buildServices() error {
	trust, err := authctx.TrustSPIFFEID(gatewayID)
	if err != nil {
		return err
	}
	auth, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: trust})
	if err != nil {
		return err
	}
	usersTLS, err := s.ca.Server(usersID)
	if err != nil {
		return err
	}
	if s.usersServer, err = newUsersService(usersTLS, auth); err != nil {
		return err
	}
	ordersTLS, err := s.ca.Server(ordersID)
	if err != nil {
		return err
	}
	s.ordersListener = tls.NewListener(s.ordersListener, ordersTLS)
	s.ordersHandler, err = newOrdersService(auth)
	return err
}

func (s *system) buildGateway(issuer string) error {
	authURL, err := url.Parse(issuer)
	if err != nil {
		return err
	}
	ordersURL, err := url.Parse(s.ordersURL())
	if err != nil {
		return err
	}
	config, err := s.ca.Client(gatewayID)
	if err != nil {
		return err
	}
	if s.keys, err = jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{Issuer: issuer}); err != nil {
		return err
	}
	s.gateway = &gateway{issuer: issuer, keys: s.keys, auth: authURL, orders: ordersURL, users: s.users(), tls: config}
	s.gatewayHandler, err = s.gateway.handler()
	return err
}

// serve runs everything until ctx ends. The gateway stops first, for it needs the others
// to answer what it has begun.
func (s *system) serve(ctx context.Context) error {
	err := program.Serve(ctx,
		program.HTTP(s.gatewayListener, s.gatewayHandler),
		program.Last(program.HTTP(s.authListener, s.authHandler)),
		program.Last(program.HTTP(s.ordersListener, s.ordersHandler)),
		program.Last(program.GRPC(s.usersListener, s.usersServer)),
	)
	errs := []error{err, s.keys.Close()}
	for _, closing := range s.gateway.closing {
		errs = append(errs, closing())
	}
	return errors.Join(errs...)
}
