"""The wire forms, for HTTP and sockets alike. Unknown fields are refused; what is wrong is named by its field."""
