module github.com/gatehouse-mcp/gatehouse/tools/arrows

go 1.26.0
