package authctx

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
)

// InjectHeaders writes the caller of ctx, through prop, into the headers of a
// message that is about to be published. The headers are a map of strings, of
// bytes, or, as in NATS, of lists of strings; bytes hold the value itself, not its
// JSON. Identity fields that the headers held before are removed first, however
// they were spelled. On an error nothing is written.
//
// It fails with [NoCredentials] when ctx has no caller, and with the error of
// prop. It fails without a [Reason] when prop or headers is nil, when prop writes
// a field that is not among its Fields, and when prop repeats a field, as a layout
// with Repeat may, and the map has room for one value only.
//
// Call it once for each message. If several messages have the same headers, a
// consumer that looks out for replays handles only the first; and headers that a
// scheduler keeps and sends again are refused once the caller in them has ended.
//
// It does not remove credentials. Do not copy the headers of a request into a
// message: whoever reads the topic could use its Authorization and cookies for as
// long as they are good.
//
// # Which propagator
//
// Plain fields in a message are for consumers who trust everybody who can write to
// the topic. Neither they nor a Transaction Token say when the message was written:
// the consumer's AsOf is the publisher's, which is zero for the caller of a request,
// and a message that is read after the caller's effective end is refused. For work
// that may wait, use a propagator made for that, such as
// jwtauth.DeferredPropagator.
//
// # Brokers
//
// Where a client of the broker has headers as a list, as those of Kafka do, inject
// into an empty map and append its entries to the list, which must hold no identity
// fields of its own, see [IdentityFields].
//
// Brokers limit headers. Plain fields take one for each attribute: about a dozen
// for a usual caller, 22 at most, more with an ExtraPrefix. A token takes one, of
// 0.6 to 2 KiB for most callers and 7 KiB at most. Amazon SQS allows ten headers
// ("attributes"), and Google Pub/Sub 1,024 bytes in each. Where a caller may not
// fit, inject into a separate map and send that within the body.
//
// Names of CloudEvents attributes are letters and digits. A token may travel as an
// extension attribute under such a name, if the consumer puts it back under the
// original one. Plain fields should not: bindings differ in whether they
// percent-decode values, so a consumer could read another value than was written.
func InjectHeaders[V ~string | ~[]byte | ~[]string](ctx context.Context, prop Propagator, headers map[string]V) error {
	if isNil(prop) {
		return errors.New("authctx: propagator is nil")
	}
	if headers == nil {
		return errors.New("authctx: headers is nil")
	}
	written := prop.Fields()
	owned := IdentityFields().Union(written)
	maps.DeleteFunc(headers, func(name string, _ V) bool { return owned.Owns(name) })
	p, ok := FromContext(ctx)
	if !ok {
		return NoCredentials
	}
	fields, foreign := map[string][]string{}, ""
	err := prop.Inject(ctx, p, func(name, value string) {
		if !written.Owns(name) {
			foreign = name
		}
		fields[name] = append(fields[name], value)
	})
	switch {
	case err != nil:
		return err
	case foreign != "":
		return fmt.Errorf("authctx: the propagator wrote %q, which is not among its fields", foreign)
	}
	fresh := make(map[string]V, len(fields))
	for name, values := range fields {
		if fresh[name], ok = newHeader[V](values); !ok {
			return fmt.Errorf("authctx: a message has one header %s, and the caller needs several", name)
		}
	}
	maps.Copy(headers, fresh)
	return nil
}

// ExtractHeaders asks a on whose behalf a message was published to topic, and
// returns a copy of ctx that carries this caller. The headers are not changed. It asks
// no rule, tells no observer and leaves it to a to check the caller's effective end:
// [ReceiveHeaders] does all three.
//
// On an error, the context has no caller. The error is that of a, [NoCredentials]
// included: a message without a caller is not anonymous, and its consumer decides
// what that means. The reason says what to do with the message:
//
//   - [Unavailable] says nothing about it, since nobody could tell. Give it back to
//     the queue, and do not set it aside as a bad one.
//   - [TokenNotYetValid] and [UnknownKey] may pass, once a slow clock has caught up
//     or a key is published. Give it back a limited number of times, since a
//     message that somebody made up looks the same and never becomes good.
//   - Any other reason is final.
//
// A message that the broker has moved to a queue for retries or dead letters still
// belongs to the topic that it was published to. Whoever takes it from there must give
// that topic, from its own configuration and not from a header of the message: with any
// other, the token of a DeferredPropagator of package jwtauth is [WrongAudience].
//
// A header that occurs twice makes two claims about the caller and is refused.
// Where a client of the broker has headers as a list, gather them in a map of
// lists: a map of strings would silently keep one of the two.
func ExtractHeaders[V ~string | ~[]byte | ~[]string](ctx context.Context, a Authenticator, topic string, headers map[string]V) (context.Context, error) {
	res, err := Authenticate(ctx, a, messageRequest(topic, headers))
	if err != nil {
		return NewContext(ctx, Principal{}), err
	}
	return res.NewContext(ctx), nil
}

func messageRequest[V ~string | ~[]byte | ~[]string](topic string, headers map[string]V) *Request {
	fields := make(map[string][]string, len(headers))
	for name, value := range headers {
		fields[name] = headerValues(value)
	}
	return &Request{Transport: TransportMessage, Target: topic, Fields: FieldMap(fields)}
}

// newHeader returns values as a header of type V, and whether it has room for
// all of them.
func newHeader[V ~string | ~[]byte | ~[]string](values []string) (header V, ok bool) {
	h := reflect.ValueOf(&header).Elem()
	switch {
	case h.Kind() == reflect.String:
		h.SetString(values[0])
	case h.Type().Elem().Kind() == reflect.Uint8:
		h.SetBytes([]byte(values[0]))
	default:
		h.Set(reflect.ValueOf(values))
		return header, true
	}
	return header, len(values) == 1
}

// headerValues is the opposite of newHeader.
func headerValues[V ~string | ~[]byte | ~[]string](header V) []string {
	h := reflect.ValueOf(header)
	switch {
	case h.Kind() == reflect.String:
		return []string{h.String()}
	case h.Type().Elem().Kind() == reflect.Uint8:
		return []string{string(h.Bytes())}
	}
	return h.Convert(reflect.TypeFor[[]string]()).Interface().([]string)
}
