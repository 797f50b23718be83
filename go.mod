module github.com/authctx/authctx

go 1.26.0
