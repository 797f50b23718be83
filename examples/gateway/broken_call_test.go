package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
)

// An answer that is shorter than its Content-Length fails like one whose connection was
// lost, after its status has come.
func TestACallThatWasAnsweredKeepsItsStatus(t *testing.T) {
	for name, test := range map[string]struct {
		header, trailer http.Header
		want            string
		told            int
	}{
		"in trailers":       {http.Header{}, http.Header{"Grpc-Status": {"7"}}, "7", 0},
		"in a header alone": {http.Header{"Grpc-Status": {"7"}}, nil, "", 0},
		"announced":         {http.Header{}, http.Header{"Grpc-Status": nil}, "14", 1},
		"none":              {http.Header{}, nil, "14", 1},
	} {
		var log bytes.Buffer
		r := httptest.NewRequest("POST", "/s.S/M", nil)
		r.ProtoMajor = 2
		r.Header.Set("Content-Type", "application/grpc")
		res := &http.Response{Header: test.header, Trailer: test.trailer, Request: r,
			Body: io.NopCloser(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(io.ErrUnexpectedEOF)))}
		if err := brokenCalls("upstream", slog.New(slog.NewTextHandler(&log, nil)))(res); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		if err != nil || string(got) != "abc" || res.Trailer.Get("Grpc-Status") != test.want || strings.Count(log.String(), "broke off") != test.told {
			t.Errorf("%s: %q, %v, trailers %v, told %s", name, got, err, res.Trailer, log.String())
		}
	}
}
