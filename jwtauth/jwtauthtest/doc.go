// Package jwtauthtest helps to test programs that verify tokens: an identity
// provider on a loopback port that can rotate its keys, be asked about opaque tokens
// and fail in all the ways real ones do, a builder for tokens good and bad, and
// ready-made callers. For those that issue them there is a test of stores,
// [TestRefreshStore].
//
// Everything is real: HTTP over sockets, keys and signatures. Nothing leaves
// the machine. Code that only needs a caller in a context, because it
// authorizes and does not authenticate, takes [User] or [Service] and
// [authctx.NewContext] and needs no token at all.
//
// A function that cannot do its work ends the test with Fatalf. So call it from the
// goroutine of the test that it was given; a subtest, which has a goroutine of its own,
// begins with [Issuer.For].
package jwtauthtest
