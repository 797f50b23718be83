# Plain commands behind short names. CI calls the same ones.

STATICCHECK = go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME ?= 30s
BENCH ?= .
BENCHTIME ?= 100ms
BENCHCOUNT ?= 10

.PHONY: test race lint fuzz bench vulncheck generate

test:
	go test ./...

race:
	go test -race ./...

lint:
	go vet ./...
	$(STATICCHECK) ./...

# Runs every fuzz target of every package for FUZZTIME.
fuzz:
	@.ci/fuzz $(FUZZTIME)

# Times are for comparing within one run: each benchmark has its limit beside it,
# and bench.awk prints the ratio. The fastest of several runs is what the code
# costs; the others are what the machine was busy with. See BENCHMARKS.md.
BENCHFLAGS = -run '^$$' -bench '$(BENCH)' -benchmem -benchtime $(BENCHTIME) -count $(BENCHCOUNT)
bench:
	{ go test -p 1 $(BENCHFLAGS) ./... && go test -C internal/comparison $(BENCHFLAGS) .; } > .bench.out \
	  || { cat .bench.out; rm -f .bench.out; exit 1; }
	@awk -f bench.awk .bench.out; rm -f .bench.out

vulncheck:
	@.ci/vulncheck

# Needs protoc, protoc-gen-go v1.36.11 and protoc-gen-go-grpc v1.6.2.
generate:
	go generate ./examples/...
