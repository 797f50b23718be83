package examples_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc/metadata"

	pb "github.com/authctx/authctx/examples/internal/examplespb"
)

// forgeries are identity fields as some server behind us would read them.
var forgeries = []string{
	"X-User-Id", "x-user-id", "X_User_Id", "X-User_Id", "X.User.Id", "x-USER-roles", "X_User_Roles", "X.User.Roles",
	"X-User-Permissions", "X-User-Anything-New", "X-User-Id-Bin", "X-User-Roles-bin", "Grpc-Metadata-X-User-Roles",
	"Grpc-Metadata-X-User-Id-Bin", "grpc_metadata_x_user_roles", "Txn-Token", "txn_token", "Txn.Token", "Txn-Token-Bin",
	"Grpc-Metadata-Txn-Token", "Grpcgateway-X-User-Roles", "grpcgateway_grpc-metadata-txn.token",
}

func TestRule6_ForgedFieldsChangeNothingBehindTheGateway(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	token := "Authorization: Bearer " + s.token(t, jwt.MapClaims{"permissions": nil})
	want := decode(t, send(t, "GET", s.url+"/whoami", token))

	for _, name := range forgeries {
		t.Run(name, func(t *testing.T) {
			forged := name + ": admin"
			r := send(t, "GET", s.url+"/whoami", token, forged, "Connection: "+name+", x-user-id")
			if r.status != 200 {
				t.Fatalf("status %d, body %s", r.status, r.body)
			}
			got := decode(t, r)
			if got.Subject != want.Subject || !slices.Equal(got.Roles, want.Roles) || len(got.Permissions) != 0 {
				t.Errorf("the service saw %+v", got)
			}
			if !slices.Equal(got.Received, want.Received) {
				t.Errorf("the service received %q\nwithout the forgery %q", got.Received, want.Received)
			}
			if r := send(t, "GET", s.url+"/admin", token, forged); r.status != 403 {
				t.Errorf("admin: status %d", r.status)
			}
			if r := send(t, "GET", s.url+"/whoami", forged); r.status != 401 {
				t.Errorf("without a token: status %d", r.status)
			}
		})
	}
}

func TestRule6_ForgedMetadataChangesNothingBehindTheGateway(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	client := pb.NewWhoAmIClient(dial(t, s.address))
	token := s.token(t, jwt.MapClaims{"permissions": nil})
	want, err := client.Get(as(t, token), &pb.GetRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range forgeries {
		name = strings.ToLower(name)
		t.Run(name, func(t *testing.T) {
			got, err := client.Get(metadata.AppendToOutgoingContext(as(t, token), name, "admin"), &pb.GetRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if got.Subject != want.Subject || !slices.Equal(got.Roles, want.Roles) || len(got.Permissions) != 0 ||
				!slices.Equal(got.Received, want.Received) {
				t.Errorf("the service saw %v\nwithout the forgery %v", got, want)
			}
		})
	}
}
