"""What tests share: servers, processes, archives."""
