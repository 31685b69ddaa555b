"""What must not be lost: SQLModel tables, the queries over them, the migrations."""
