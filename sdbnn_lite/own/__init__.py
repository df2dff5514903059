"""Your own network and pictures: any network made binary, any picture classified."""
