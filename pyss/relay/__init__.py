"""Where sockets and protocols meet: sessions, their pumps, and the services that start them."""
