package authctx

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
)

// InjectHeaders writes the caller of ctx into the headers of a message that is
// about to be published, through prop. The headers are a map of strings, of
// bytes, or of lists of strings, as in NATS. Whatever identity fields they had
// are removed first, however they were spelled; on an error nothing is written.
// Bytes are the value itself, which is not the JSON of a json.RawMessage.
//
// Each message has headers of its own: of copies, a consumer who looks for work that
// comes again does the first. Nor does a scheduler keep headers and send them again
// and again: when the caller in them has ended, nothing is done any more.
//
// It does not remove credentials: do not copy the headers of a request into a
// message, with its Authorization and cookies, which whoever reads the topic could
// use for as long as they are good.
//
// Where a client of the broker has headers as a list, as those of Kafka do, fill
// an empty map and append what is in it then. The list must not hold identity
// fields of its own: [IdentityFields] tells which they are.
//
// Brokers bound what a message may have. Plain fields are a header for each
// attribute, about a dozen for a usual caller and 22 at most, with an ExtraPrefix
// more. A token is one header of 0.6 to 2 KiB for most callers, and of 7 KiB at
// most. Amazon SQS takes ten attributes and Google Pub/Sub 1,024 bytes in one:
// where a caller may not fit, inject into a map of its own, and send that within
// the body. The names of CloudEvents are letters and digits: a token, which is the
// one value of such a map, may be an extension that the consumer names as it was.
// Plain fields should not be: what reads them decodes percent signs or does not, and
// takes one of two.
//
// It fails with [NoCredentials] when ctx has no caller. Errors without a reason
// are a field that prop repeats, as a layout with Repeat may, where the map has
// one value of a name; a field that is not among those of prop; a nil prop, and
// nil headers.
//
// Plain fields in a message are believed by whoever trusts every writer of the
// topic, and a message that is read after the caller's effective end is refused.
// Neither they nor a Transaction Token say when the message was written: the
// consumer's AsOf is the publisher's, zero for a caller of the request at hand.
// For work that may wait, use a propagator made for that.
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

// ExtractHeaders authenticates a message that was taken from topic, and returns
// a copy of ctx that carries its caller. The error is what a says of the
// headers, [NoCredentials] among them: a message without a caller is not
// anonymous, its consumer decides what that means. The context that comes with an
// error has no caller. The headers are not changed.
//
// [Unavailable] says nothing of the message, only that nobody could tell: give it
// back to the queue, to be taken again later, and do not set it aside as a bad one.
// Give it back for [TokenNotYetValid] and [UnknownKey] too, but not for ever: a
// clock that is behind and a key that is published later are made good by waiting,
// and a message that anybody made up is not. What has another reason stays as it
// is.
//
// It asks no rule and tells no observer, as [ReceiveHeaders] does. Whether the
// caller's effective end has come is for a to say, by its own clock, as the
// authenticators of this module do.
//
// A header that occurs twice is two claims about the caller, and refused. Where a
// client of the broker has headers as a list, gather them in a map of lists, for
// a map of strings would keep one of the two in silence.
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
