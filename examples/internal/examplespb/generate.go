// Package examplespb is the gRPC API of the example programs.
package examplespb

// The M options keep the module path out of the descriptors, so that a fork
// need not generate anything again.
//
//go:generate protoc --go_out=. --go_opt=paths=source_relative,Mwhoami.proto=./examplespb,Musers.proto=./examplespb --go-grpc_out=. --go-grpc_opt=paths=source_relative,Mwhoami.proto=./examplespb,Musers.proto=./examplespb whoami.proto users.proto
