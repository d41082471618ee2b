// Package manifest turns the files that operators write into configuration objects, and objects back into manifests. It
// reads manifests in YAML and JSON and the seed's two files (.mcp.json and the rules file), and knows the line and column
// of every field.
//
// It refuses what it does not understand, all of it at once: unknown fields, duplicate keys, wrong types, null, two
// objects of one name, and input beyond its bounds. It resolves nothing: ${VAR} stays as written. Whether an object makes
// sense is not decided here but by controlplane/config, whose complaints Set.Locate leads back to the file.
//
// # The way of a file
//
//	paths → input       readAll: files, folders, standard input; at most 4 MiB each
//	  → node            parseYAML, parseJSON: one tree for both formats, every value with its place
//	    → document      newDocument: collects problems, remembers where each field stands
//	      → cursor      read, list, text, …: walks the tree, checks types and names on the way
//	        → Object    readObject, seedServer, seedPolicy: protobuf, and nothing half read
//	          → Set     add: one object of each reference
//
// The syntax is left to libraries: encoding/json and goccy/go-yaml. Decoding is done here, since a decoder that fills
// structs stops at the first problem, and has forgotten the places when somebody later dislikes a value.
//
// # Why so strict
//
// A rules file is a security boundary that people edit by hand. A misspelt deny that is skipped, a "no" that reads as
// false, the second of two keys that wins: each of them opens a door without a sound. So all of them are errors here,
// and where the YAML parser itself is known to take one thing for another, the document is refused rather than guessed at.
package manifest
