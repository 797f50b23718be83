// Package jwtauth verifies tokens and issues them, for any transport.
//
// Tokens in:
//
//   - [Verifier] verifies the tokens of one issuer, [MultiVerifier] and
//     [ResolvingVerifier] those of several;
//   - [RemoteKeys] finds an issuer's keys and keeps them up to date,
//     [NewStaticKeys] takes keys that are there already, and [JoinKeys] makes
//     one source of several;
//   - [ClaimMapping] says how claims become an [authctx.Principal], with ready
//     ones for many providers;
//   - [Introspector] asks about tokens that cannot be verified here;
//   - [Revocations] takes back what was verified;
//   - [Bearer] makes an [authctx.Authenticator] of any [TokenVerifier].
//
// Tokens out: [Issuer] signs access tokens and publishes its [SigningKeys];
// [RefreshTokens] lets a login be refreshed.
//
// Between services: [TxnPropagator] mints Transaction Tokens at the edge,
// [TxnAuthenticator] verifies and [TxnForwarder] forwards them. In messages that
// may have to wait, [DeferredPropagator] and [DeferredAuthenticator] stand in
// for them.
//
// A type that has a constructor is made by it: the zero value is not ready unless
// its comment says so. Functions and interfaces in a configuration, clocks
// included, must be safe for concurrent use; what constructors return is.
//
// A constructor fails when something required is missing; leaving a setting empty
// never switches a check off. A refusal is an [authctx.Error] that names a reason
// for the caller and a cause for operators, and holds nothing of the token.
package jwtauth
