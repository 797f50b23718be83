// Package authctx carries an authenticated caller from the edge of a system to
// every service behind it, and lets each of them authorize against it.
//
// A gateway verifies the client's token once. From then on the caller travels
// as a [Principal]: in the context within a process, and as plain fields or a
// signed Transaction Token between processes. Services ask [FromContext] who is
// calling and [Authorize] what they may do.
//
// This package is the vocabulary that all others share, and imports nothing but
// the standard library:
//
//   - who: [Principal], [NewContext], [FromContext];
//   - may they: [Rule], [Policy], [Authorize];
//   - how it is known: [Request], [Authenticator], [Trust], [FieldsAuthenticator];
//   - how it travels on: [Propagator], [FieldsPropagator];
//   - and in messages: [InjectHeaders], [ReceiveHeaders], [Consumer];
//   - what is refused and why: [Reason], [Error];
//   - what an operator sees: [Observer], [Event].
//
// A type that has a constructor is made by it: the zero value is not ready unless
// its comment says so. Functions and interfaces in a configuration, clocks
// included, must be safe for concurrent use.
//
// Package jwtauth verifies and issues tokens; packages httpctx and grpcctx put
// all of it to work on net/http and gRPC.
package authctx
